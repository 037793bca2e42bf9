// Copies payloads from betons to a beton, and decodes them to see whether they can be.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "beton_watched.h"

namespace rescale_fast {

// Places n samples of `per_sample` payloads each, those of a sample on one page: sizes is (n, per_sample), bytes, 0 = no
// payload; pointers, of the same shape, is overwritten. Returns the first byte behind the last payload.
// Precondition: the sizes of a sample sum to at most page_size; the caller checks it.
std::uint64_t place_payloads(const std::int64_t* sizes, std::int64_t num_samples, std::int64_t per_sample,
                             std::uint64_t start, std::uint64_t page_size, std::int64_t* pointers);

struct Copy {
  int source;  // file descriptor
  std::int64_t from, to, size;  // bytes
};

// Makes the copies, which must not overlap, on num_threads threads. done counts bytes. Returns false when poll said stop.
// Throws std::system_error; errno is ENODATA when a source is shorter than it should be.
bool copy_payloads(int target, std::vector<Copy> copies, int num_threads, const Poll& poll,
                   std::atomic<std::int64_t>& done);

struct JpegPlace {
  std::int64_t pointer, size;  // bytes
  int width, height;           // as the record names them
};

// Decodes each payload strictly and compares its size with the record's (n/8 of it will do). Returns the reasons of
// those that fail, by position. done counts payloads; interrupted: whether poll said stop.
std::map<std::int64_t, std::string> check_payloads(int fd, const std::vector<JpegPlace>& places, int num_threads,
                                                   const Poll& poll, std::atomic<std::int64_t>& done,
                                                   bool& interrupted);

}  // namespace rescale_fast
