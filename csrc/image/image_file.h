// An image file's bytes, and the way out for files that this code does not decode.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/file_io.h"
#include "core/patience.h"
#include "image/jpeg_codec.h"

namespace rescale_fast {

// From a file's bytes, the pixels where this code does not decode them; throws ImageError. Called on worker threads.
using Fallback = std::function<Pixels(std::int64_t index, const std::vector<std::uint8_t>& bytes)>;

// What the operating system has to say of a file. An error says nothing about the image, and may pass; a fault is what
// lies there instead of one.
struct FileBytes {
  std::vector<std::uint8_t> bytes;  // empty with an error or a fault
  int error = 0;                    // errno where it does not give the bytes; EIO also when they became fewer meanwhile
  std::string fault;                // "not a file", "empty: 0 bytes", "larger than 512 MiB", a link to itself
};

// Reads a whole file, without waiting for anything.
FileBytes ask_for_file(const std::string& path);

// The whole file. Throws ImageError for a fault, FileError for an error that outlasts the patience.
std::vector<std::uint8_t> read_image_file(const std::string& path, Patience& patience);

// Throws ImageError for an image of more than max_pixels.
void check_pixels(std::int64_t width, std::int64_t height, std::int64_t max_pixels);

// A side of a JPEG of this many pixels when it is decoded at eighths/8 of its size.
inline int scaled(int side, int eighths) { return (side * eighths + 7) / 8; }

}  // namespace rescale_fast
