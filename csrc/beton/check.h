// Reads a whole file again: digests it, or decodes its images to see whether they can be.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "beton/block_digest.h"
#include "core/array.h"
#include "core/job.h"

namespace rescale_fast {

// The digests of the blocks of a file of `size` bytes; the last block may be shorter. The job advances by
// bytes. Throws std::system_error; errno is ENODATA when the file is shorter.
Array<Digest> digest_file(int fd, std::int64_t size, Job& job);

struct JpegPlace {
  std::int64_t pointer, size;  // bytes
  int width, height;           // as the record names them
};

// By position among the places.
struct BadImages {
  std::map<std::int64_t, std::string> errors;    // readers get no image, part of one, or another one
  std::map<std::int64_t, std::string> warnings;  // readers get an image, of which the decoder complains
};

// Decodes each payload and compares its size with the record's (n/8 of it will do). Images of more than max_pixels are
// errors and are not decoded; what is decoded at once keeps to a limit. The job advances by payloads.
BadImages check_payloads(int fd, const Array<JpegPlace>& places, std::int64_t max_pixels, Job& job);

}  // namespace rescale_fast
