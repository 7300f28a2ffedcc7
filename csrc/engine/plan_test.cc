#include "engine/plan.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

#include "testing/testing.h"

namespace bitwright {
namespace {

using testing::Random;

constexpr int elements = 1000;
using Bytes = std::array<std::uint8_t, elements>;

// y[i] = 3 * x[i] + table[x[i]], by way of scratch memory that is written long before it is read, so that threads that
// shared it would be seen.
class Look final : public Step {
  public:
    Look(int x, int table, int y) : x_(x), table_(table), y_(y) {}
    std::string name() const override { return "look"; }
    int tasks() const override { return 7; }
    std::size_t scratch_bytes() const override { return elements; }
    void run(const Run& run, int first, int last, std::byte* scratch) const override {
        const auto *x = run.at<const std::uint8_t>(x_), *table = run.at<const std::uint8_t>(table_);
        const auto begin = part_begin(elements, first, 7), end = part_begin(elements, last, 7);
        auto* const kept = reinterpret_cast<std::uint8_t*>(scratch);
        for (auto i = begin; i < end; ++i) kept[i - begin] = table[x[i]];
        std::this_thread::sleep_for(std::chrono::microseconds(20));
        for (auto i = begin; i < end; ++i)
            run.at<std::uint8_t>(y_)[i] = static_cast<std::uint8_t>(3 * x[i] + kept[i - begin]);
    }

  private:
    const int x_, table_, y_;
};

Tensor bytes(std::int64_t count, Place place, std::int64_t offset = 0) {
    Tensor tensor;
    tensor.rank = 1;
    tensor.dims = {count};
    tensor.strides = {1};
    tensor.place = place;
    if (place == Place::external) tensor.external = static_cast<int>(offset);
    if (place == Place::arena) tensor.offset = offset;
    return tensor;
}

// Caller's array 0 -> two tensors of the arena -> caller's array 1.
class Looks {
  public:
    explicit Looks(int threads) : plan(Isa::scalar, threads, 2048) {
        auto table = Random(1).fill<std::uint8_t>(256, 0, 255);
        const int in = plan.add(bytes(elements, Place::external, 0)),
                  out = plan.add(bytes(elements, Place::external, 1));
        const int constant = plan.add_constant(bytes(256, Place::constant), table.data());
        std::fill(table.begin(), table.end(), std::uint8_t{0});  // the plan has a copy
        const int first = plan.add(bytes(elements, Place::arena, 0)),
                  second = plan.add(bytes(elements, Place::arena, 1024));
        plan.add(std::make_unique<Look>(in, constant, first));
        plan.add(std::make_unique<Look>(first, constant, second));
        plan.add(std::make_unique<Look>(second, constant, out));
    }
    Bytes operator()(Bytes x, double* microseconds = nullptr) {
        Bytes y{};
        std::byte* arrays[] = {reinterpret_cast<std::byte*>(x.data()), reinterpret_cast<std::byte*>(y.data())};
        plan.run(arrays, microseconds);
        return y;
    }

    Plan plan;
};

Bytes draw(std::uint64_t seed) {
    Random random(seed);
    Bytes x;
    for (auto& value : x) value = static_cast<std::uint8_t>(random.between(0, 255));
    return x;
}

Bytes expected(Bytes x) {
    const auto table = Random(1).fill<std::uint8_t>(256, 0, 255);
    for (int step = 0; step < 3; ++step)
        for (auto& value : x) value = static_cast<std::uint8_t>(3 * value + table[value]);
    return x;
}

}  // namespace

TEST(plan_gives_the_same_bytes_with_any_number_of_threads) {
    for (const int threads : {1, 2, 5}) {
        Looks looks(threads);
        for (std::uint64_t seed = 0; seed < 20; ++seed) CHECK(expected(draw(seed)) == looks(draw(seed)));
    }
}

TEST(plan_gives_the_same_bytes_to_callers_at_the_same_time) {
    for (const int threads : {1, 3}) {
        Looks looks(threads);
        std::array<int, 8> wrong{};
        std::vector<std::thread> callers;
        for (std::size_t caller = 0; caller < 8; ++caller)
            callers.emplace_back([&, caller] {
                for (std::uint64_t round = 0; round < 40; ++round) {
                    const Bytes x = draw(100 * caller + round);
                    wrong[caller] += expected(x) != looks(x);
                }
            });
        for (auto& caller : callers) caller.join();
        CHECK(wrong == (std::array<int, 8>{}));
    }
}

TEST(plan_times_every_step) {
    Looks looks(1);
    double microseconds[4] = {-1, -1, -1, -1};
    looks(draw(0), microseconds);
    CHECK(microseconds[0] >= 0 && microseconds[1] >= 0 && microseconds[2] >= 0);
    CHECK(microseconds[3] == -1);
}

TEST(plan_knows_the_sizes_of_the_callers_arrays) {
    Looks looks(1);
    CHECK(looks.plan.externals() == 2);
    int asked = 0;
    looks.plan.check_externals([&](int, std::int64_t size) { return ++asked, size == elements; });
    CHECK(asked == 2);
    bool refused = false;
    try {
        looks.plan.check_externals([](int index, std::int64_t) { return index == 0; });
    } catch (const std::invalid_argument&) {
        refused = true;
    }
    CHECK(refused);
}

}  // namespace bitwright
