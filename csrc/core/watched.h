// Runs worker threads while the calling thread looks after them: progress, and stopping at the user's wish.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace rescale_fast {

// Called on the calling thread now and then; false = stop.
using Poll = std::function<bool()>;

// Runs work(thread) on num_threads threads, or on as many as the machine allows. Calls poll every few hundredths of a
// second until all have ended. When poll says stop, or poll or a worker throws, `stop` is called (workers are expected
// to end soon then). Rethrows the first exception, or why there was no thread at all. Returns whether poll never
// said stop.
inline bool run_watched(int num_threads, const std::function<void(int)>& work, const std::function<void()>& stop,
                        const Poll& poll) {
  std::mutex mutex;
  std::condition_variable ended;
  std::exception_ptr failure;
  int running = 0;
  const auto fail = [&] {
    {
      const std::lock_guard<std::mutex> lock(mutex);
      if (!failure) failure = std::current_exception();
    }
    stop();
  };
  const auto run = [&](int thread) {
    try {
      work(thread);
    } catch (...) {
      fail();
    }
    const std::lock_guard<std::mutex> lock(mutex);
    --running;
    ended.notify_all();
  };
  std::vector<std::thread> workers;
  workers.reserve(static_cast<std::size_t>(num_threads));
  std::unique_lock<std::mutex> lock(mutex);  // nobody ends before all are counted
  for (int thread = 0; thread < num_threads; ++thread) {
    try {
      workers.emplace_back(run, thread);
    } catch (...) {  // no more threads, or no memory for one: fewer will do
      if (workers.empty()) throw;
      break;
    }
    ++running;
  }
  bool wanted = true;
  while (running > 0) {
    ended.wait_for(lock, std::chrono::milliseconds(30));
    lock.unlock();
    try {
      if (wanted && !poll()) {
        wanted = false;
        stop();
      }
    } catch (...) {
      wanted = false;
      fail();
    }
    lock.lock();
  }
  lock.unlock();
  for (std::thread& worker : workers) worker.join();
  if (failure) std::rethrow_exception(failure);
  return wanted;
}

}  // namespace rescale_fast
