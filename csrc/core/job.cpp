#include "core/job.h"

#include <chrono>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace rescale_fast {

Job::Job(int num_threads)
    : num_threads_(num_threads > 0 ? num_threads : std::max(1, static_cast<int>(std::thread::hardware_concurrency()))) {
}

void Job::stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopped_.store(true, std::memory_order_relaxed);
  }
  stopping_.notify_all();
}

bool Job::sleep(double seconds) {
  std::unique_lock<std::mutex> lock(mutex_);
  return !stopping_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return is_stopped(); });
}

void Job::run(int count, const std::function<void(int)>& work) {
  std::exception_ptr failure;
  std::mutex mutex;  // guards failure
  const auto run_one = [&](int thread) {
    try {
      work(thread);
    } catch (...) {
      stop();
      const std::lock_guard<std::mutex> lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  std::vector<std::thread> workers;
  workers.reserve(static_cast<std::size_t>(count));
  int started = 1;  // with this one
  try {
    for (; started < count; ++started) workers.emplace_back(run_one, started);
  } catch (...) {  // no more threads, or no memory for one: std::thread must not be left behind unjoined
  }
  run_one(0);
  for (int thread = started; thread < count; ++thread) run_one(thread);
  for (std::thread& worker : workers) worker.join();
  if (failure) std::rethrow_exception(failure);
}

void Job::for_ranges(std::int64_t num_items, const std::function<void(int, std::int64_t, std::int64_t)>& body) {
  const int threads = threads_for(num_items);
  run(threads, [&](int thread) { body(thread, num_items * thread / threads, num_items * (thread + 1) / threads); });
}

}  // namespace rescale_fast
