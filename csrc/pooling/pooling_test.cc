#include "pooling/step.h"
#include "testing/testing.h"

namespace bitwright::pooling {
namespace {

using testing::Random;

struct Case {
    std::int32_t n = 1, h = 1, w = 1, c = 1;
    std::int32_t kh = 1, kw = 1, stride_h = 1, stride_w = 1, top = 0, left = 0;
    std::int32_t oh = 0, ow = 0;                    // 0: as many windows as touch the image
    std::int32_t border = 0, x_gap = 0, y_gap = 0;  // pixels around the image; elements between pixels
    std::int32_t lowest = 0, highest = 255;         // of x
    std::int32_t higher = -1;                       // so many pixels hold one more than the others, all the same else
};

Tensor image(Type type, std::int32_t n, std::int32_t h, std::int32_t w, std::int32_t c, std::int32_t border,
             std::int32_t gap) {
    Tensor t;
    t.type = type;
    t.rank = 4;
    t.dims = {n, h, w, c};
    const std::int64_t sw = c + gap, sh = (w + 2 * border) * sw;
    t.strides = {(h + 2 * border) * sh, sh, sw, 1};
    t.offset = border * (sh + sw);  // in elements
    return t;
}

// The step on `isa` equals the reference, around y nothing is written, and what lies around x changes nothing.
template <typename T>
bool agrees(Case t, Isa isa, bool is_mean, Random& random) {
    constexpr bool is_wide = sizeof(T) == 2;
    if (t.oh == 0) t.oh = (t.h - 1 + t.top) / t.stride_h + 1;
    if (t.ow == 0) t.ow = (t.w - 1 + t.left) / t.stride_w + 1;
    const Type type = is_wide ? Type::i16 : Type::u8;
    const Tensor x = image(type, t.n, t.h, t.w, t.c, t.border, t.x_gap),
                 y = image(type, t.n, t.oh, t.ow, t.c, 1, t.y_gap);
    auto data = random.fill<T>(static_cast<std::size_t>(t.n * x.strides[0]) + 64, is_wide ? -500 : t.lowest,
                               is_wide ? 500 : t.highest);
    if (t.higher >= 0) {
        for (std::int32_t pixel = 0; pixel < t.h * t.w; ++pixel)
            for (std::int32_t c = 0; c < t.c; ++c)
                data[static_cast<std::size_t>(pixel * t.c + c)] = static_cast<T>(254 - c + (pixel < t.higher));
    }
    const std::int32_t bias = is_wide || random.between(0, 1) ? 0 : 128;
    const std::int32_t low = random.between(0, 2) || is_wide ? 0 : random.between(0, 255);
    const std::int32_t high = random.between(0, 2) ? 255 : random.between(low, 255);
    const Window window{is_mean, t.kh, t.kw, t.stride_h, t.stride_w, t.top, t.left, bias, low, high};
    std::vector<T> expected(static_cast<std::size_t>(t.n * y.strides[0]) + 64, 77), found = expected;
    std::byte* const from = reinterpret_cast<std::byte*>(data.data() + x.offset);
    std::byte* reference[] = {from, reinterpret_cast<std::byte*>(expected.data() + y.offset)};
    std::byte* tensors[] = {from, reinterpret_cast<std::byte*>(found.data() + y.offset)};
    const PoolingStep scalar(Isa::scalar, 0, x, 1, y, window), step(isa, 0, x, 1, y, window);
    scalar.run({reference}, 0, 1, nullptr);
    const int half = step.tasks() / 2;
    step.run({tensors}, half, step.tasks(), nullptr);
    step.run({tensors}, 0, half, nullptr);
    return expected == found;
}

template <typename T = std::uint8_t>
void check_on_all(const Case& t, Random& random) {
    for (int isa = 1; isa <= static_cast<int>(detected_isa()); ++isa)
        for (const bool is_mean : {false, true}) CHECK(agrees<T>(t, static_cast<Isa>(isa), is_mean, random));
}

}  // namespace

TEST(pooling_agrees_for_every_number_of_channels) {
    Random random(1);
    for (const int c :
         {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 300}) {
        check_on_all({.h = 5, .w = 9, .c = c, .kh = 3, .kw = 3, .stride_h = 2, .stride_w = 2}, random);
        check_on_all({.h = 5, .w = 3, .c = c, .kh = 5, .kw = 3, .oh = 1, .ow = 1}, random);
    }
}

TEST(pooling_agrees_for_any_window_and_leaves_a_border_out) {
    Random random(2);
    for (int i = 0; i < 600; ++i) {
        Case t{.n = random.between(1, 2),
               .h = random.between(1, 12),
               .w = random.between(1, 12),
               .c = random.between(1, 70)};
        t.kh = random.between(1, 6), t.kw = random.between(1, 6);
        t.stride_h = random.between(1, 4), t.stride_w = random.between(1, 4);
        t.top = random.between(0, t.kh - 1), t.left = random.between(0, t.kw - 1);
        t.border = random.between(0, 2), t.x_gap = random.between(0, 5), t.y_gap = random.between(0, 5);
        check_on_all(t, random);
        if (i < 100) check_on_all<std::int16_t>(t, random);
    }
}

TEST(pooling_agrees_for_every_number_of_pixels) {
    Random random(3);
    for (int pixels = 1; pixels <= 520; ++pixels) {
        const bool is_low = random.between(0, 3) == 0, is_high = random.between(0, 3) == 0;
        const Case t{.h = 1,
                     .w = pixels,
                     .c = 70,
                     .kh = 1,
                     .kw = pixels,
                     .oh = 1,
                     .ow = 1,
                     .lowest = is_high ? 254 : 0,
                     .highest = is_low ? 1 : 255};
        check_on_all(t, random);
    }
}

// Every sum that has a count: ties and their neighbours, below and above the middle.
TEST(pooling_rounds_every_sum_of_a_count) {
    Random random(4);
    for (const int count : {2, 3, 4, 6, 9, 12, 49, 63, 64, 100, 126, 127, 128, 144}) {
        for (int base = 0; base < 255; base += 5) {
            const Case t{.h = 1,
                         .w = count,
                         .c = 64,
                         .kh = 1,
                         .kw = count,
                         .oh = 1,
                         .ow = 1,
                         .lowest = base,
                         .highest = base + 1};
            check_on_all(t, random);
        }
    }
}

TEST(pooling_agrees_for_windows_as_large_as_images) {
    Random random(5);
    for (const int side : {16, 17, 112, 127, 128, 129}) {
        const Case whole{.h = side, .w = side, .c = 66, .kh = side, .kw = side, .oh = 1, .ow = 1};
        check_on_all(whole, random);
        Case same = whole;
        same.h = same.w = 6, same.top = same.left = (side - 1) / 2, same.oh = same.ow = 3,
        same.stride_h = same.stride_w = 2;
        check_on_all(same, random);
        Case high = whole;
        high.lowest = 254;
        check_on_all(high, random);
    }
    check_on_all(
        {.h = 3, .w = 2, .c = 5, .kh = INT32_MAX, .kw = INT32_MAX, .top = 1 << 30, .left = 1 << 30, .oh = 3, .ow = 2},
        random);
}

// Around the ends of what float32 divides exactly, sums on both sides of a tie.
TEST(pooling_rounds_ties_of_large_windows) {
    Random random(7);
    for (const int count : {128, 129, 255, 256, 4096, 16383, 16384, 16385, 40000, 65536}) {
        for (const int step : {-1, 0, 1}) {
            const Case t{.h = 1,
                         .w = count,
                         .c = 255,
                         .kh = 1,
                         .kw = count,
                         .oh = 1,
                         .ow = 1,
                         .higher = count - count / 2 + step};
            check_on_all(t, random);
        }
    }
}

TEST(pooling_divides_large_images_into_tasks) {
    Random random(6);
    check_on_all(
        {.n = 2, .h = 56, .w = 57, .c = 64, .kh = 3, .kw = 3, .stride_h = 2, .stride_w = 2, .top = 1, .left = 1},
        random);
}

}  // namespace bitwright::pooling
