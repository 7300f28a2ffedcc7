// The interface of base/tiles.h in plain C++, for tests on machines without AMX. What the processor would refuse
// (#UD, #GP) is counted in `faults`.
#pragma once

#include "base/tiles.h"

namespace bitwright {
namespace {

class EmulatedTiles {
  public:
    static inline thread_local int faults = 0;

    static void configure(const TileShapes& shapes) {
        State& s = state();
        s = {};
        s.shapes = shapes;
        s.is_configured = true;
        bool fits = shapes.palette == 1 && shapes.start_row == 0;
        for (const std::uint8_t byte : shapes.reserved) fits &= byte == 0;
        for (int t = 0; t < 16; ++t) {
            const int rows = shapes.rows[t], bytes = shapes.row_bytes[t];
            fits &= t < 8 ? rows <= 16 && bytes <= 64 && (rows == 0) == (bytes == 0) : rows == 0 && bytes == 0;
        }
        need(fits);
    }
    static void release() { state() = {}; }
    template <int T>
    static void load(const void* from, std::ptrdiff_t step) {
        State& s = state();
        need(is_there(T));
        for (int row = 0; row < 16; ++row)
            for (int byte = 0; byte < 64; ++byte) {
                const bool inside = row < s.shapes.rows[T] && byte < s.shapes.row_bytes[T];
                s.bytes[T][row][byte] = inside ? static_cast<const std::uint8_t*>(from)[row * step + byte] : 0;
            }
    }
    template <int T>
    static void store(void* to, std::ptrdiff_t step) {
        const State& s = state();
        need(is_there(T));
        for (int row = 0; row < s.shapes.rows[T]; ++row)
            __builtin_memcpy(static_cast<std::uint8_t*>(to) + row * step, s.bytes[T][row], s.shapes.row_bytes[T]);
    }
    template <int C, int A, int B>
    static void multiply() {
        static_assert(C != A && C != B && A != B);
        State& s = state();
        const int m_count = s.shapes.rows[C], k_count = s.shapes.rows[B], n_count = s.shapes.row_bytes[C] / 4;
        need(is_there(C) && is_there(A) && is_there(B));
        need(s.shapes.row_bytes[C] % 4 == 0 && s.shapes.row_bytes[A] % 4 == 0 && s.shapes.row_bytes[B] % 4 == 0);
        need(s.shapes.rows[A] == m_count && s.shapes.row_bytes[A] / 4 == k_count &&
             s.shapes.row_bytes[B] == s.shapes.row_bytes[C]);
        for (int m = 0; m < m_count; ++m) {
            std::uint32_t sums[16];
            __builtin_memcpy(sums, s.bytes[C][m], sizeof(sums));
            for (int k = 0; k < k_count; ++k)
                for (int n = 0; n < n_count; ++n)
                    for (int i = 0; i < 4; ++i)
                        sums[n] += static_cast<std::uint32_t>(s.bytes[A][m][4 * k + i] *
                                                              static_cast<std::int8_t>(s.bytes[B][k][4 * n + i]));
            __builtin_memcpy(s.bytes[C][m], sums, sizeof(sums));
        }
    }

  private:
    struct State {
        TileShapes shapes{};
        bool is_configured = false;
        std::uint8_t bytes[8][16][64] = {};
    };
    static State& state() {
        static thread_local State of_thread;
        return of_thread;
    }
    static bool is_there(int tile) { return state().is_configured && state().shapes.rows[tile] != 0; }
    static void need(bool holds) { faults += !holds; }
};

}  // namespace
}  // namespace bitwright
