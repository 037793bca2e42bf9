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

// Called on the calling thread now and then; false = stop. It must not throw.
using Poll = std::function<bool()>;

// Runs work(thread) on num_threads threads. Calls poll every few hundredths of a second until all have ended. When
// poll says stop, or a worker throws, `stop` is called (workers are expected to end soon then). Rethrows
// the first exception. Returns whether poll never said stop.
inline bool run_watched(int num_threads, const std::function<void(int)>& work, const std::function<void()>& stop,
                        const Poll& poll) {
  std::mutex mutex;
  std::condition_variable ended;
  std::exception_ptr failure;
  int running = 0;
  const auto run = [&](int thread) {
    try {
      work(thread);
    } catch (...) {
      {
        const std::lock_guard<std::mutex> lock(mutex);
        if (!failure) failure = std::current_exception();
      }
      stop();
    }
    const std::lock_guard<std::mutex> lock(mutex);
    --running;
    ended.notify_all();
  };
  std::vector<std::thread> workers;
  bool wanted = true;
  try {
    for (int thread = 0; thread < num_threads; ++thread) {
      {
        const std::lock_guard<std::mutex> lock(mutex);
        ++running;
      }
      try {
        workers.emplace_back(run, thread);
      } catch (const std::system_error&) {  // the machine allows no more threads: fewer will do
        const std::lock_guard<std::mutex> lock(mutex);
        --running;
        if (workers.empty()) throw;
        break;
      }
    }
  } catch (...) {
    failure = std::current_exception();
  }
  std::unique_lock<std::mutex> lock(mutex);
  while (running > 0) {
    ended.wait_for(lock, std::chrono::milliseconds(30));
    lock.unlock();
    if (wanted && !poll()) {
      wanted = false;
      stop();
    }
    lock.lock();
  }
  lock.unlock();
  for (std::thread& worker : workers) worker.join();
  if (failure) std::rethrow_exception(failure);
  return wanted;
}

}  // namespace rescale_fast
