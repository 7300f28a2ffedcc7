// Requant: how a step requantizes, with arrays of its own.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "base/requantize.h"

namespace bitwright {

struct Requant {
    bw_rounding rounding = BW_FP32_EVEN;
    std::int32_t zero_point = 0, qmin = 0, qmax = 255;  // of the stored integers
    std::vector<float> scale;                           // those arrays that the rounding needs have one entry a channel
    std::vector<std::int32_t> multiplier, shift;
    std::vector<double> scale64;

    bw_requant view() const {
        return {rounding, zero_point, qmin, qmax, scale.data(), multiplier.data(), shift.data(), scale64.data()};
    }

    // Whether base/narrow_avx512.h takes it: float32 products that stay in 32 bits whatever the sum.
    bool narrows() const {
        return rounding == BW_FP32_EVEN && std::all_of(scale.begin(), scale.end(), [](float s) { return s < 1.0f; });
    }

    // The same for lanes: entry l is that of channel channels[l], 0 where that is -1.
    Requant of_lanes(std::span<const std::int32_t> channels) const {
        Requant made{rounding, zero_point, qmin, qmax, {}, {}, {}, {}};
        const auto gather = [&](const auto& from, auto& to) {
            if (from.empty()) return;
            for (const std::int32_t c : channels) to.push_back(c < 0 ? 0 : from[static_cast<std::size_t>(c)]);
        };
        gather(scale, made.scale);
        gather(multiplier, made.multiplier);
        gather(shift, made.shift);
        gather(scale64, made.scale64);
        return made;
    }
};

}  // namespace bitwright
