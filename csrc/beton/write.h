// Writes the payloads of a beton: many threads, one order, bounded memory.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "beton/block_digest.h"
#include "beton/image.h"
#include "core/array.h"
#include "core/job.h"

namespace rescale_fast {

struct Stored {
  std::uint64_t pointer = 0;
  std::uint32_t size = 0;  // bytes; 0 = not stored
  std::uint16_t width = 0, height = 0;
  bool raw = false;
  How how = How::bad;
};

struct Written {
  Array<Stored> samples;                        // one a path
  std::map<std::int64_t, std::string> reasons;  // of those that were not stored
  Array<Digest> blocks;                         // of the file from `start` to the end of the last page
};

// Stores the images of `paths` (each joined to root) in fd from `start` on, in their order, none across a page.
// The bytes and their places depend on nothing but the files and options: not on the number of threads, nor on timing.
// With stop_at_bad it ends at the first image, in order, that cannot be stored: Written::reasons then has that one.
// The job advances by images. Memory: about 64 MiB of payloads, and what the threads' decoders need.
// Precondition: start and page_size are multiples of kDigestBlock. Throws FileError for a file that cannot be had, and
// std::system_error when fd cannot be written.
Written write_images(int fd, const std::string& root, const Array<const char*>& paths, std::uint64_t start,
                     const ImageOptions& options, bool stop_at_bad, Patience& patience, const Fallback& fallback,
                     Job& job);

}  // namespace rescale_fast
