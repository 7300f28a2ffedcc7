#include "engine/pool.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "testing/testing.h"

namespace bitwright {
namespace {

// Whether every task of [0, tasks) ran once, and no two at a time as the same worker. Counts are plain integers: the
// thread sanitizer sees where two threads share one.
bool runs_each_task_once(Pool& pool, int tasks) {
    std::vector<int> runs(static_cast<std::size_t>(tasks));
    std::vector<int> of_worker(static_cast<std::size_t>(pool.threads()));
    pool.run(tasks, [&](int first, int last, int worker) {
        for (int task = first; task < last; ++task) ++runs[static_cast<std::size_t>(task)];
        of_worker[static_cast<std::size_t>(worker)] += last - first;
    });
    int sum = 0;
    for (const int count : of_worker) sum += count;
    return sum == tasks && std::all_of(runs.begin(), runs.end(), [](int count) { return count == 1; });
}

}  // namespace

TEST(pool_runs_each_task_once) {
    for (const int threads : {1, 2, 3, 8}) {
        Pool pool(threads);
        CHECK(pool.threads() == threads);
        for (int round = 0; round < 300; ++round) CHECK(runs_each_task_once(pool, round % 23));
    }
}

TEST(pool_wakes_threads_that_sleep) {
    Pool pool(4);
    for (int round = 0; round < 20; ++round) {
        std::this_thread::sleep_for(std::chrono::milliseconds(round % 5));  // they spin for about a millisecond
        CHECK(runs_each_task_once(pool, 50));
    }
}

TEST(pool_returns_when_all_tasks_are_done) {
    Pool pool(3);
    int done[6] = {};
    pool.run(6, [&](int first, int, int) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        done[first] = 1;
    });
    CHECK(std::count(done, done + 6, 1) == 6);
}

TEST(pool_ends_while_its_threads_sleep_or_spin) {
    for (int round = 0; round < 30; ++round) {
        Pool pool(3);
        if (round % 2) pool.run(5, [](int, int, int) {});
        if (round % 3 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(3));
    }
}

}  // namespace bitwright
