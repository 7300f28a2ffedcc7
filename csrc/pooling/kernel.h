// The kernel of pooling of bytes, written with the Bytes of an instruction set: its file includes them first.
#pragma once

#include "pooling/pooling.h"
#include "reduce/columns.h"

namespace bitwright::pooling {
namespace {

using reduce::Block;
using reduce::Bytes;

constexpr int width = 4;  // results at a time: enough sums to wait for one another's latency

// Results side by side, of windows of one size: result i looks at `window`, read i * x_step bytes further on.
struct Strip {
    Block window;
    std::int64_t x_step, y_step, count;
    std::uint8_t* y;
    int channels;  // of each: Bytes::size, or fewer
};

inline void store(const Strip& strip, std::uint8_t* y, Bytes::V result) {
    if (strip.channels == Bytes::size) {
        Bytes::store(y, result);
    } else {
        Bytes::store(y, result, strip.channels);
    }
}

struct Largest {
    Bytes::V low, high;

    template <int N>
    void pool(const Strip& strip, const Block& window, std::uint8_t* y) const {
        Bytes::V best[N];
        reduce::extremes<true>(window, strip.x_step, best);
        for (int n = 0; n < N; ++n) store(strip, y + n * strip.y_step, Bytes::min(Bytes::max(best[n], low), high));
    }
};

// The mean of 2 to 127 bytes from their sum, in 16 bits: floor((sum + half) * multiplier / 2^(16 + shift)).
// With c pixels in a window, 2^m <= c < 2^(m+1), multiplier = ceil(2^(16+m) / c) is too large by less than c / 2^(16+m)
// of 1 / c, and the numerator is below 256 * c: the floor is that of the quotient while 256 * c * c <= 2^(16+m), so for
// every c of at most 127. 1 has no such multiplier.
constexpr std::int64_t most_in_mean = 127;

struct Divisors {
    std::int32_t multiplier[most_in_mean + 1]{}, shift[most_in_mean + 1]{};

    constexpr Divisors() {
        for (int count = 2, log2 = 1; count <= most_in_mean; ++count) {
            if (count >> (log2 + 1)) ++log2;
            shift[count] = count & (count - 1) ? log2 : log2 - 1;
            multiplier[count] = ((1 << (16 + shift[count])) + count - 1) / count;
        }
    }
};
constexpr Divisors divisors;

struct Mean {
    Bytes::V low, high, half, tie, multiplier;
    int shift;

    Mean(const bw_pool_shape& s, int count)
        : low(Bytes::all_bytes(s.low)),
          high(Bytes::all_bytes(s.high)),
          half(Bytes::all_words(count / 2)),
          tie(Bytes::all_words(count % 2 ? 0 : s.bias * count)),  // below zero ties go down: one less is added then
          multiplier(Bytes::all_words(divisors.multiplier[count])),
          shift(divisors.shift[count]) {}

    Bytes::V of(Bytes::V sum) const {
        const Bytes::V numerator = Bytes::add(Bytes::add(sum, half), Bytes::less(sum, tie));
        return Bytes::shift_right(Bytes::high_product(numerator, multiplier), shift);
    }

    template <int N>
    void pool(const Strip& strip, const Block& window, std::uint8_t* y) const {
        Bytes::V even[N], odd[N];
        reduce::sums_in_words(window, strip.x_step, even, odd);
        for (int n = 0; n < N; ++n) {
            const Bytes::V mean = Bytes::either(of(even[n]), Bytes::to_odd(of(odd[n])));
            store(strip, y + n * strip.y_step, Bytes::min(Bytes::max(mean, low), high));
        }
    }
};

// The mean of more pixels.
struct LargeMean {
    const bw_pool_shape& s;
    std::int64_t count;

    template <int N>
    void pool(const Strip& strip, const Block& window, std::uint8_t* y) const {
        constexpr int all = N * Bytes::size;
        alignas(64) std::uint32_t sums[all] = {};
        reduce::add_sums<N>(window, strip.x_step, sums);
        divide(sums, all);
        for (int n = 0; n < N; ++n) reduce::store_bytes(sums + n * Bytes::size, y + n * strip.y_step, strip.channels);
    }

    void divide(std::uint32_t* sums, int all) const {
        constexpr std::int64_t exact_in_float = 1 << 14;
        const auto half = static_cast<std::uint32_t>(count / 2);
        const std::uint32_t tie = count % 2 ? 0 : static_cast<std::uint32_t>(s.bias * count);
        for (int i = 0; i < all; ++i) sums[i] += half - (sums[i] < tie);
        if (count < exact_in_float) {
            // (n + 1/2) / count lies 1 / (2 * count) or more from an integer, which is more than float32 errs by.
            const float inverse = 1.0f / static_cast<float>(count);
            for (int i = 0; i < all; ++i) {
                const float middle = static_cast<float>(static_cast<std::int32_t>(sums[i])) + 0.5f;
                sums[i] = static_cast<std::uint32_t>(static_cast<std::int32_t>(middle * inverse));
            }
        } else {
            for (int i = 0; i < all; ++i) sums[i] /= static_cast<std::uint32_t>(count);
        }
        const auto low = static_cast<std::uint32_t>(s.low), high = static_cast<std::uint32_t>(s.high);
        for (int i = 0; i < all; ++i) {
            const std::uint32_t raised = sums[i] < low ? low : sums[i];
            sums[i] = raised > high ? high : raised;
        }
    }
};

// `width` results at a time, of which the last may overlap those before them. Not inlined: its loops need the
// registers.
template <typename How>
__attribute__((noinline)) void pool_strip(const How& shared, const Strip& given) {
    const How how = shared;  // what is stored may not change it
    const Strip strip = given;
    Block window = strip.window;
    if (strip.count < width) {
        for (std::int64_t i = 0; i < strip.count; ++i, window.x += strip.x_step)
            how.template pool<1>(strip, window, strip.y + i * strip.y_step);
        return;
    }
    for (std::int64_t i = 0; i < strip.count; i += width) {
        const std::int64_t at = i + width <= strip.count ? i : strip.count - width;
        window.x = strip.window.x + at * strip.x_step;
        how.template pool<width>(strip, window, strip.y + at * strip.y_step);
    }
}

// All channels of `pixels` windows side by side, the first given, x_step and y_step apart.
template <typename How>
inline void pool_pixels(const bw_pool_shape& s, const How& how, const Block& first, std::int64_t pixels,
                        std::uint8_t* y) {
    const std::int64_t x_step = s.stride_w * s.x_sw, whole = pixels > 1 ? 0 : s.c / Bytes::size * Bytes::size;
    if (whole) pool_strip(how, {first, Bytes::size, Bytes::size, s.c / Bytes::size, y, Bytes::size});
    const int channels = s.c < Bytes::size ? s.c : Bytes::size;
    Block window = first;
    for (std::int64_t c = whole; c < s.c; c += Bytes::size) {
        const std::int64_t at = c + channels <= s.c ? c : s.c - channels;
        window.x = first.x + at;
        pool_strip(how, {window, x_step, s.y_sw, pixels, y + at, channels});
    }
}

inline std::int64_t between(std::int64_t x, std::int64_t low, std::int64_t high) {
    return x < low ? low : x > high ? high : x;
}

void run(const Call& call, std::int64_t first, std::int64_t last) {
    const bw_pool_shape& s = *call.shape;
    const Largest largest{Bytes::all_bytes(s.low), Bytes::all_bytes(s.high)};
    // Windows [begin, end) of a row are inside the image: they are of one size.
    const std::int64_t begin = between((std::int64_t{s.left} + s.stride_w - 1) / s.stride_w, 0, s.ow);
    const std::int64_t room = std::int64_t{s.w} - s.kw + s.left;
    const std::int64_t end = between(room < 0 ? 0 : room / s.stride_w + 1, begin, s.ow);
    for (std::int64_t row = first; row < last; ++row) {
        const std::int64_t n = row / s.oh, oy = row % s.oh;
        std::int64_t iy, ix;
        Block window{nullptr, bw_pool_inside(oy * s.stride_h - s.top, s.kh, s.h, &iy), 0, s.x_sh, s.x_sw};
        const std::uint8_t* const x = static_cast<const std::uint8_t*>(call.x) + n * s.x_sn + iy * s.x_sh;
        std::uint8_t* const y = static_cast<std::uint8_t*>(call.y) + n * s.y_sn + oy * s.y_sh;
        for (std::int64_t ox = 0, pixels; ox < s.ow; ox += pixels) {
            pixels = ox == begin && end > begin ? end - begin : 1;
            window.cols = bw_pool_inside(ox * s.stride_w - s.left, s.kw, s.w, &ix);
            window.x = x + ix * s.x_sw;
            const std::int64_t count = window.rows * window.cols;
            std::uint8_t* const to = y + ox * s.y_sw;
            if (!s.is_mean || count == 1) {
                pool_pixels(s, largest, window, pixels, to);
            } else if (count <= most_in_mean) {
                pool_pixels(s, Mean(s, static_cast<int>(count)), window, pixels, to);
            } else {
                pool_pixels(s, LargeMean{s, count}, window, pixels, to);
            }
        }
    }
}

}  // namespace
}  // namespace bitwright::pooling
