#include "base/isa.h"

#include <cstdlib>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace bitwright {
namespace {

#if defined(__x86_64__)

struct Registers {
    unsigned eax, ebx, ecx, edx;
};

Registers leaf(unsigned number, unsigned sub) {
    Registers r{};
    __cpuid_count(number, sub, r.eax, r.ebx, r.ecx, r.edx);
    return r;
}

bool bit(unsigned word, int index) { return (word >> index) & 1; }

std::uint64_t saved_state() {
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (static_cast<std::uint64_t>(high) << 32) | low;
}

// Linux gives tile registers to a process that asks (arch_prctl ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA).
bool tiles_permitted() {
    constexpr long request_permission = 0x1023, tile_data = 18;
    return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

Isa detect() {
    if (leaf(0, 0).eax < 7) return Isa::scalar;
    const Registers one = leaf(1, 0), seven = leaf(7, 0);
    if (!bit(one.ecx, 27)) return Isa::scalar;  // OSXSAVE
    const std::uint64_t state = saved_state();
    constexpr std::uint64_t ymm = 0x6, zmm = 0xe6, tiles = 0x60000;
    if ((state & ymm) != ymm || !bit(seven.ebx, 5) || !bit(one.ecx, 12)) return Isa::scalar;  // AVX2, FMA
    const bool wide = (state & zmm) == zmm && bit(seven.ebx, 16) && bit(seven.ebx, 17) && bit(seven.ebx, 30) &&
                      bit(seven.ebx, 31) && bit(seven.ecx, 11);  // F, DQ, BW, VL, VNNI
    if (!wide) return Isa::avx2;
    const bool amx = (state & tiles) == tiles && bit(seven.edx, 24) && bit(seven.edx, 25);  // TILE, INT8
    return amx && tiles_permitted() ? Isa::amx : Isa::avx512vnni;
}

#else

Isa detect() { return Isa::scalar; }

#endif

}  // namespace

Isa detected_isa() {
    static const Isa found = detect();
    return found;
}

bool parse_isa(std::string_view name, Isa& found) {
    for (int i = 0; i < 4; ++i) {
        if (name == isa_names[i]) {
            found = static_cast<Isa>(i);
            return true;
        }
    }
    return false;
}

bool environment_cap_is_valid() {
    const char* name = std::getenv("BITWRIGHT_ISA");
    Isa cap;
    return name == nullptr || *name == '\0' || parse_isa(name, cap);
}

Isa usable_isa() {
    const char* name = std::getenv("BITWRIGHT_ISA");
    Isa cap;
    if (name == nullptr || !parse_isa(name, cap)) return detected_isa();
    return cap < detected_isa() ? cap : detected_isa();
}

}  // namespace bitwright
