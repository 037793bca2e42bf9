// A program that includes this can have its allocations and thread starts fail, as on a machine that has no more.
#pragma once

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <new>

#include <dlfcn.h>
#include <pthread.h>

// glibc's names. NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" void* __libc_malloc(std::size_t size);
extern "C" void __libc_free(void* memory);
// NOLINTEND(bugprone-reserved-identifier)

namespace faults {

constexpr long kNever = 1L << 60;
inline std::atomic<long> allocations_left{kNever}, starts_left{kNever};
inline std::atomic<bool> lasting{false};  // whether all after the first fail, too
inline std::atomic<long> live{0};         // of malloc, that have not been freed

inline bool fails(std::atomic<long>& left) {
  const long before = left--;
  return before == 0 || (before < 0 && lasting);
}

inline void expect(bool holds, const char* what, long trial) {
  if (holds) return;
  std::fprintf(stderr, "%s (trial %ld)\n", what, trial);
  std::abort();
}

// Calls work() with its first allocation failing, with its second, and so on, until it needs no more of them;
// then again with all later ones failing, too.
template <typename Work>
void fail_each(std::atomic<long>& left, const Work& work) {
  for (const bool all_later : {false, true}) {
    bool failed = true;
    for (long trial = 0; failed; ++trial) {
      expect(trial < 10'000, "there is no end", trial);
      lasting = all_later;
      left = trial;
      work(trial);
      failed = left < 0;
      left = kNever;
    }
  }
}

}  // namespace faults

extern "C" void* malloc(std::size_t size) {
  void* memory = faults::fails(faults::allocations_left) ? nullptr : __libc_malloc(size);
  if (memory == nullptr) errno = ENOMEM;
  if (memory != nullptr) ++faults::live;
  return memory;
}

extern "C" void free(void* memory) {
  if (memory != nullptr) --faults::live;
  __libc_free(memory);
}

extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*),
                              void* argument) {
  static const auto real = reinterpret_cast<decltype(&pthread_create)>(dlsym(RTLD_NEXT, "pthread_create"));
  return faults::fails(faults::starts_left) ? EAGAIN : real(thread, attributes, start, argument);
}
