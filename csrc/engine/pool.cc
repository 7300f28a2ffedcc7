#include "engine/pool.h"

#include <pthread.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace bitwright {
namespace {

constexpr int spins = 20000;  // of about 40 cycles each: longer than any gap between the steps of one run

void pause() {
#if defined(__x86_64__)
    _mm_pause();
#else
    std::this_thread::yield();
#endif
}

// How often this process has been forked from the one that loaded this.
std::atomic<int> forks{0};

[[maybe_unused]] const int watches_forks = pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1); });

}  // namespace

bool Pool::is_alive() const { return forks_ == forks.load(std::memory_order_relaxed); }

Pool::Pool(int threads) : forks_(forks.load()) {
    for (int worker = 1; worker < threads; ++worker) workers_.emplace_back([this, worker] { wait_for_work(worker); });
}

Pool::~Pool() {
    {
        const std::lock_guard lock(mutex_);
        ends_.store(true);
        round_.fetch_add(1);
    }
    wake_.notify_all();
    for (auto& worker : workers_) worker.join();
}

void Pool::take_tasks(int worker) {
    for (int task = next_.fetch_add(1); task < tasks_; task = next_.fetch_add(1)) call_(data_, task, task + 1, worker);
}

void Pool::run(int tasks, Call call, const void* data) {
    call_ = call, data_ = data, tasks_ = tasks;
    next_.store(0);
    busy_.store(static_cast<int>(workers_.size()));
    round_.fetch_add(1);  // publishes the lines above
    if (sleeping_.load() > 0) {
        const std::lock_guard lock(mutex_);
        wake_.notify_all();
    }
    take_tasks(0);
    while (busy_.load(std::memory_order_acquire) > 0) pause();
}

void Pool::wait_for_work(int worker) {
    std::uint32_t seen = 0;
    while (true) {
        int turns = 0;
        while (round_.load() == seen && turns < spins) {
            pause();
            ++turns;
        }
        if (round_.load() == seen) {
            std::unique_lock lock(mutex_);
            sleeping_.fetch_add(1);
            wake_.wait(lock, [&] { return round_.load() != seen; });
            sleeping_.fetch_sub(1);
        }
        ++seen;
        if (ends_.load()) return;
        take_tasks(worker);
        busy_.fetch_sub(1, std::memory_order_release);
    }
}

}  // namespace bitwright
