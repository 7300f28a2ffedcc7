// Pool: threads that split the tasks of one step. Workers spin for a moment between steps, then sleep.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace bitwright {

class Pool {
  public:
    // threads: the caller's own counts as one.
    explicit Pool(int threads);
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    // False in a process that was forked from the one that made it: its threads are not there, and it must not be
    // destroyed.
    bool is_alive() const;

    int threads() const { return static_cast<int>(workers_.size()) + 1; }

    // Calls work(first, last, worker) until [0, tasks) is done, worker in [0, threads()); returns when all have.
    // One caller at a time. work raises nothing.
    template <typename Work>
    void run(int tasks, const Work& work) {
        run(
            tasks,
            [](const void* data, int first, int last, int worker) {
                (*static_cast<const Work*>(data))(first, last, worker);
            },
            &work);
    }

  private:
    using Call = void (*)(const void*, int, int, int);
    void run(int tasks, Call call, const void* data);
    void take_tasks(int worker);
    void wait_for_work(int worker);

    const int forks_;
    std::vector<std::thread> workers_;
    Call call_ = nullptr;
    const void* data_ = nullptr;
    int tasks_ = 0;
    alignas(64) std::atomic<int> next_{0};
    alignas(64) std::atomic<std::uint32_t> round_{0};
    alignas(64) std::atomic<int> busy_{0};
    std::mutex mutex_;
    std::condition_variable wake_;
    std::atomic<int> sleeping_{0};
    std::atomic<bool> ends_{false};
};

}  // namespace bitwright
