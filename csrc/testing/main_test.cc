#include <cstdio>
#include <cstring>

#include "testing/testing.h"

namespace bitwright::testing {
namespace {

struct Entry {
    const char* name;
    Body body;
};

std::vector<Entry>& entries() {
    static std::vector<Entry> all;
    return all;
}

int failures = 0;

}  // namespace

bool add(const char* name, Body body) {
    entries().push_back({name, body});
    return true;
}

void check(bool holds, const char* condition, const char* file, int line) {
    if (holds) return;
    if (++failures <= 20) std::printf("%s:%d: %s\n", file, line, condition);
}

std::uint64_t Random::next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);  // splitmix64
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

std::int32_t Random::between(std::int32_t low, std::int32_t high) {
    const auto span = static_cast<std::uint64_t>(static_cast<std::int64_t>(high) - low + 1);
    return static_cast<std::int32_t>(low + static_cast<std::int64_t>(next() % span));
}

}  // namespace bitwright::testing

// All tests, or those whose name holds the argument.
int main(int argc, char** argv) {
    using namespace bitwright::testing;
    int passed = 0, failed = 0;
    for (const auto& [name, body] : entries()) {
        if (argc > 1 && std::strstr(name, argv[1]) == nullptr) continue;
        const int before = failures;
        body();
        ++(failures == before ? passed : failed);
        if (failures != before) std::printf("FAILED %s\n", name);
    }
    std::printf("%d passed, %d failed\n", passed, failed);
    return failed != 0 || passed == 0;
}
