#include <algorithm>
#include <numeric>

#include "depthwise/depthwise.h"

namespace bitwright::depthwise {
namespace {

std::int32_t divide_up(std::int64_t a, std::int64_t b) { return static_cast<std::int32_t>((a + b - 1) / b); }

struct Tap {
    std::int32_t row, column;  // of the input, from the window's corner; row -1: none, with weight 0
};

// Rows of the input that `rows` rows of results see.
std::vector<std::int32_t> seen_rows(const bw_depthwise_shape& s, std::int32_t rows) {
    std::vector<std::int32_t> seen;
    for (std::int32_t r = 0; r < rows; ++r)
        for (std::int32_t ky = 0; ky < s.kh; ++ky) seen.push_back(r * s.stride_h + ky * s.dilation_h);
    std::sort(seen.begin(), seen.end());
    seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
    return seen;
}

// Column by column, in fours.
std::vector<Tap> find_taps(const bw_depthwise_shape& s, const Layout& layout) {
    std::vector<Tap> taps;
    const auto fill = [&] {
        while (taps.size() % 4) taps.push_back({-1, taps.back().column});
    };
    for (std::int32_t kx = 0; kx < s.kw; ++kx) {
        for (const std::int32_t row : seen_rows(s, layout.rows)) taps.push_back({row, kx * s.dilation_w});
        if (layout.shared_columns) fill();
    }
    fill();
    return taps;
}

// The row of the window that result row r sees at an input row, or -1.
std::int32_t window_row(const bw_depthwise_shape& s, std::int32_t r, std::int32_t row) {
    const std::int32_t from = row - r * s.stride_h;
    return row >= 0 && from >= 0 && from % s.dilation_h == 0 && from / s.dilation_h < s.kh ? from / s.dilation_h : -1;
}

// Whether neighbours' windows may be kept as columns of one four of taps.
bool may_share(const bw_depthwise_shape& s, const Cut& cut) {
    return cut.shares_columns && s.kw == 3 && seen_rows(s, 1).size() <= 4;
}

// Whether vectors hold so many whole columns of one row that windows begin within two of them. Both are read whole: the
// last window must reach into the second.
bool is_streamed(const bw_depthwise_shape& s, const Cut& cut) {
    const std::int64_t row = static_cast<std::int64_t>(s.ow) * s.c;
    return s.stride_w == 1 && s.x_sw == s.c && s.y_sw == s.c && cut.lanes % s.c == 0 &&
           (row - 1) % cut.lanes + 2 * s.dilation_w * s.c >= cut.lanes;
}

void choose_rows(const bw_depthwise_shape& s, const Cut& cut, bool is_joined, Layout& layout) {
    const auto seen = [&](std::int32_t rows) { return static_cast<std::int64_t>(seen_rows(s, rows).size()); };
    const bool is_gathered = is_joined && s.stride_w > 1;
    if (may_share(s, cut) && !is_gathered)
        for (const std::int32_t columns : {1, 2, 4, 8})
            if (layout.x_step == columns * s.dilation_w * s.x_sw && (columns <= 2 || is_streamed(s, cut)))
                layout.shared_columns = columns;
    if (layout.shared_columns) {
        layout.rows = s.oh > 1 && seen(2) <= 4 ? 2 : 1;
    } else {
        // Four taps of two rows at once take 8 instructions to interleave and 8 to multiply, of one row 8 and 4.
        const bool is_fewer = 16 * divide_up(seen(2) * s.kw, 4) < 24 * divide_up(seen(1) * s.kw, 4);
        layout.rows = s.oh > 1 && is_fewer ? 2 : 1;
    }
}

void place_taps(const bw_depthwise_shape& s, const Cut& cut, bool is_joined, Layout& layout) {
    choose_rows(s, cut, is_joined, layout);
    const std::vector<Tap> taps = find_taps(s, layout);
    layout.fours = static_cast<std::int32_t>(taps.size() / 4);
    for (const bool is_whole : {true, false})
        for (const Tap& tap : taps) {
            // What no row sees is read all the same: it must lie in the image.
            const bool is_seen = is_whole ? tap.row >= 0 : window_row(s, 0, tap.row) >= 0;
            layout.taps.push_back((is_seen ? tap.row * s.x_sh : 0) + tap.column * s.x_sw);
        }
}

// Lane l of a vector that begins at channel `first` of a pixel comes from this many elements after the vector's
// address.
std::int64_t source_of(const bw_depthwise_shape& s, std::int32_t first, std::int32_t lane) {
    return lane + (first + lane) / s.c * (s.stride_w * s.x_sw - s.c);
}

Gather gather_from(const bw_depthwise_shape& s, std::int32_t first) {
    Gather gather{};
    for (std::int32_t i = 0; i < 8; ++i) gather.eights[i] = source_of(s, first, i * 8) / 8;
    return gather;
}

// Vectors that begin at channel `first` of a pixel and hold `lanes` results.
void add_pattern(const bw_depthwise_shape& s, const Cut& cut, std::int32_t first, Pattern pattern, Layout& layout) {
    pattern.lane = static_cast<std::int32_t>(layout.channels.size());
    pattern.weights = layout.weights_bytes;
    layout.weights_bytes += static_cast<std::int64_t>(layout.fours) * layout.rows * cut.lanes * 4 * cut.bytes;
    pattern.gather = -1;
    if (source_of(s, first, pattern.lanes - 1) != pattern.lanes - 1) {
        pattern.gather = static_cast<std::int32_t>(layout.gathers.size());
        layout.gathers.push_back(gather_from(s, first));
    }
    for (std::int32_t quarter = 0; quarter < 4; ++quarter)
        for (std::int32_t i = 0; i < cut.lanes / 4; ++i) {
            // Interleaving works within 128 bits: quarter q of each 16 bytes.
            const std::int32_t lane = i / 4 * 16 + quarter * 4 + i % 4;
            layout.channels.push_back(lane < pattern.lanes ? (first + lane) % s.c : -1);
        }
    layout.patterns.push_back(pattern);
}

// Whether vectors hold channels of several pixels.
bool joins_pixels(const bw_depthwise_shape& s, const Cut& cut, std::int32_t period) {
    const std::int64_t by_pixel = static_cast<std::int64_t>(divide_up(s.c, cut.lanes)) * s.ow;
    const std::int64_t joined = divide_up(static_cast<std::int64_t>(s.ow) * s.c, cut.lanes);
    constexpr std::int32_t most_patterns = 64;
    if (s.x_sw != s.c || s.y_sw != s.c || period > most_patterns || period > joined) return false;
    if (s.stride_w > 1) {
        if (!cut.gathers || s.c % 8) return false;
        for (std::int32_t first = 0; first < s.c; first += std::gcd(s.c, cut.lanes))
            if (source_of(s, first, cut.lanes - 1) >= 2 * cut.lanes) return false;
        // The last vector is read whole, which may be 64 bytes too far.
        const std::int64_t last = static_cast<std::int64_t>(joined - 1) * cut.lanes;
        const auto lanes = static_cast<std::int32_t>(static_cast<std::int64_t>(s.ow) * s.c - last);
        if (source_of(s, static_cast<std::int32_t>(last % s.c), lanes - 1) + 64 < 2 * cut.lanes - 1) return false;
    }
    // Measured: vectors of several pixels take 1.2 times as long, since they lie across cache lines, and 1.6 times as
    // long where those of one pixel share columns and they do not.
    const bool is_shared = cut.lanes == 2 * s.dilation_w * s.c || is_streamed(s, cut);
    return joined * (may_share(s, cut) && !is_shared ? 8 : 6) < by_pixel * 5;
}

void cut_rows(const bw_depthwise_shape& s, const Cut& cut, Layout& layout) {
    const std::int32_t period = s.c / std::gcd(s.c, cut.lanes);  // vectors until the channels repeat
    const bool is_joined = joins_pixels(s, cut, period);
    const std::int32_t patterns = is_joined ? period : divide_up(s.c, cut.lanes);
    layout.y_step = is_joined ? static_cast<std::int64_t>(period) * cut.lanes : s.y_sw;
    layout.x_step = is_joined ? layout.y_step * s.stride_w : s.stride_w * s.x_sw;
    place_taps(s, cut, is_joined, layout);
    const std::int64_t row = static_cast<std::int64_t>(s.ow) * s.c;
    for (std::int32_t p = 0; p < patterns; ++p) {
        Pattern pattern{};
        const std::int64_t start = static_cast<std::int64_t>(p) * cut.lanes;
        pattern.y_offset = start;
        if (is_joined) {
            pattern.x_offset = start / s.c * s.stride_w * s.x_sw + start % s.c;
            pattern.vectors = divide_up(row - start, layout.y_step);
            pattern.lanes = cut.lanes;
            const std::int64_t last = start + (pattern.vectors - 1) * layout.y_step;
            pattern.last_lanes = static_cast<std::int32_t>(std::min<std::int64_t>(cut.lanes, row - last));
        } else {
            pattern.x_offset = start;
            pattern.vectors = s.ow;
            pattern.lanes = pattern.last_lanes =
                static_cast<std::int32_t>(std::min<std::int64_t>(cut.lanes, s.c - start));
        }
        add_pattern(s, cut, static_cast<std::int32_t>(start % s.c), pattern, layout);
    }
}

// Tasks large enough that handing them out costs nothing, and small enough that threads end together.
void cut_tasks(const bw_depthwise_shape& s, Layout& layout) {
    constexpr std::int64_t task_results = 8192, most_tasks = 32;
    const std::int64_t results = static_cast<std::int64_t>(s.n) * s.oh * s.ow * s.c;
    const std::int64_t wanted = std::clamp<std::int64_t>(results / task_results / s.n, 1, most_tasks);
    const std::int32_t steps = divide_up(s.oh, layout.rows);
    layout.task_rows = layout.rows * divide_up(steps, std::min<std::int64_t>(steps, wanted));
    layout.row_tasks = divide_up(s.oh, layout.task_rows);
    layout.pattern_tasks =
        std::min(divide_up(wanted, layout.row_tasks), static_cast<std::int32_t>(layout.patterns.size()));
}

}  // namespace

Layout lay_out(const bw_depthwise_shape& shape, const Cut& cut) {
    Layout layout;
    cut_rows(shape, cut, layout);
    cut_tasks(shape, layout);
    return layout;
}

void pack(const bw_depthwise_shape& s, const Cut& cut, const Layout& layout, const std::int8_t* weights,
          std::byte* packed) {
    const std::vector<Tap> taps = find_taps(s, layout);
    const std::int32_t quarter = cut.lanes / 4;
    for (const Pattern& pattern : layout.patterns) {
        for (std::int32_t lane = 0; lane < cut.lanes; ++lane) {
            const std::int32_t c = layout.channels[static_cast<std::size_t>(pattern.lane + lane)];
            if (c < 0) continue;
            for (std::size_t t = 0; t < taps.size(); ++t)
                for (std::int32_t r = 0; r < layout.rows; ++r) {
                    const std::int32_t ky = window_row(s, r, taps[t].row), kx = taps[t].column / s.dilation_w;
                    if (ky < 0) continue;
                    const std::int8_t weight = weights[(static_cast<std::int64_t>(ky) * s.kw + kx) * s.c + c];
                    const std::int64_t row = static_cast<std::int64_t>(t / 4) * layout.rows + r, k = t % 4;
                    std::byte* const start = packed + pattern.weights + row * cut.lanes * 4 * cut.bytes;
                    if (cut.bytes == 1) {
                        reinterpret_cast<std::int8_t*>(start)[lane * 4 + k] = weight;
                    } else {
                        const std::int64_t part = lane / quarter * 2 + k % 2;
                        reinterpret_cast<std::int16_t*>(start)[(part * quarter + lane % quarter) * 2 + k / 2] = weight;
                    }
                }
        }
    }
}

const Kernel& select(Isa isa) {
    const Kernel* best = nullptr;
#define BW_DEPTHWISE_KERNEL(set, name) \
    if (Isa::set <= isa) best = &name;
#include "depthwise/kernels.inc"
#undef BW_DEPTHWISE_KERNEL
    return *best;
}

}  // namespace bitwright::depthwise
