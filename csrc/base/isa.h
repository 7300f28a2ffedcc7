// Which instruction sets this machine has, and which of them kernels may use.
#pragma once

#include <cstdint>
#include <string_view>

namespace bitwright {

// In the order in which each includes the ones before it.
enum class Isa : std::uint8_t { scalar, avx2, avx512vnni, amx };

constexpr std::string_view isa_names[] = {"scalar", "avx2", "avx512vnni", "amx"};

// The best set that the processor has and the operating system saves; asks for permission to use AMX tiles.
Isa detected_isa();

// The set of that name; false when there is none.
bool parse_isa(std::string_view name, Isa& found);

// detected_isa(), capped by the environment variable BITWRIGHT_ISA; a name it does not know caps nothing, and
// `environment_cap_is_valid` is false then.
Isa usable_isa();
bool environment_cap_is_valid();

}  // namespace bitwright
