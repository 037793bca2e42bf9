// Runs a function on several threads and brings the first exception back to the caller.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace rescale_fast {

// 0 means all cores that the machine reports.
inline int resolve_threads(int num_threads) {
  if (num_threads > 0) return num_threads;
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

// Calls body(thread, begin, end) so that the ranges cover [0, num_items) once, in order of thread. The caller works on
// those for which the machine allows no thread. Rethrows the first exception once all threads have ended.
inline void parallel_ranges(std::int64_t num_items, int num_threads,
                            const std::function<void(int, std::int64_t, std::int64_t)>& body) {
  const int threads =
      static_cast<int>(std::max<std::int64_t>(1, std::min<std::int64_t>(resolve_threads(num_threads), num_items)));
  if (threads == 1) {
    body(0, 0, num_items);
    return;
  }
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const auto run = [&](int thread) {
    try {
      body(thread, num_items * thread / threads, num_items * (thread + 1) / threads);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(failure_mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  std::vector<std::thread> workers;
  workers.reserve(static_cast<std::size_t>(threads - 1));
  int started = 1;  // with this one
  try {
    for (; started < threads; ++started) workers.emplace_back(run, started);
  } catch (...) {  // no more threads, or no memory for one: std::thread must not be left behind unjoined
  }
  run(0);
  for (int thread = started; thread < threads; ++thread) run(thread);
  for (std::thread& worker : workers) worker.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace rescale_fast
