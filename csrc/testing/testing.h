// The C++ tests: TEST(name) { ... CHECK(condition) ... } in <family>/<name>_test.cc. They run under the sanitizers,
// which is why they exist beside the Python tests: python/ is not part of them.
#pragma once

#include <cstdint>
#include <vector>

#include "base/isa.h"

namespace bitwright::testing {

using Body = void (*)();
bool add(const char* name, Body body);
void check(bool holds, const char* condition, const char* file, int line);

// Seeded: every run draws the same numbers.
class Random {
  public:
    explicit Random(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}
    std::uint64_t next();
    // In [low, high].
    std::int32_t between(std::int32_t low, std::int32_t high);
    template <typename T>
    std::vector<T> fill(std::size_t count, std::int32_t low, std::int32_t high) {
        std::vector<T> values(count);
        for (T& value : values) value = static_cast<T>(between(low, high));
        return values;
    }

  private:
    std::uint64_t state_;
};

}  // namespace bitwright::testing

#define TEST(name)                                                                                 \
    static void test_##name();                                                                     \
    [[maybe_unused]] static const bool added_##name = bitwright::testing::add(#name, test_##name); \
    static void test_##name()
#define CHECK(condition) bitwright::testing::check(static_cast<bool>(condition), #condition, __FILE__, __LINE__)
