// AMX tiles, numbered 0..7: a thin layer over the instructions, so that one kernel can run on them and on an emulation
// (base/tiles_emulated.h). A tile holds up to 16 rows of up to 64 bytes.
//
//   configure(shapes)      the shape of every tile; all tiles become zero
//   load<t>(from, step)    rows from, from + step, ...: as many and as long as the tile's shape says
//   store<t>(to, step)
//   multiply<c, a, b>()    c[m][n] += sum over k of a[m][k] * b[k / 4][4 * n + k % 4]
//                          a u8[M,K], b i8[K/4,4*N], c i32[M,N], whose sums wrap; c has the rows of a and the bytes of
//                          b
//   release()              as if never configured: context switches need not save tiles
//
// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter "Programming with Intel AMX".
#pragma once

#include <cstddef>
#include <cstdint>

namespace bitwright {
namespace {

// The operand of LDTILECFG for palette 1.
struct alignas(64) TileShapes {
    std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
    std::uint16_t row_bytes[16] = {};  // of the 8 tiles there are
    std::uint8_t rows[16] = {};

    void set(int tile, int row_count, int bytes) {
        rows[tile] = static_cast<std::uint8_t>(row_count);
        row_bytes[tile] = static_cast<std::uint16_t>(bytes);
    }
};
static_assert(sizeof(TileShapes) == 64);

#if defined(__AMX_INT8__)

// GCC's own intrinsics take literals only, and do not say that they read memory.
struct AmxTiles {
    static void configure(const TileShapes& shapes) { __asm__ volatile("ldtilecfg %0" ::"m"(shapes)); }
    static void release() { __asm__ volatile("tilerelease" ::: "memory"); }
    template <int T>
    static void load(const void* from, std::ptrdiff_t step) {
        __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(step), "i"(T) : "memory");
    }
    template <int T>
    static void store(void* to, std::ptrdiff_t step) {
        __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(step), "i"(T) : "memory");
    }
    template <int C, int A, int B>
    static void multiply() {
        static_assert(C != A && C != B && A != B);
        __asm__ volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
    }
};

#endif

}  // namespace
}  // namespace bitwright
