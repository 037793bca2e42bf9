// An image file's bytes, and the way out for files that this code does not decode.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "image/jpeg_codec.h"

namespace rescale_fast {

// Gives the pixels of a file that this code does not decode; throws ImageError. Called on worker threads.
using Fallback = std::function<Pixels(std::int64_t index)>;

// The whole file. Throws ImageError for what is no file, empty, or larger than 512 MiB.
std::vector<std::uint8_t> read_image_file(const std::string& path);

// Throws ImageError for an image of more than max_pixels.
void check_pixels(std::int64_t width, std::int64_t height, std::int64_t max_pixels);

// A side of a JPEG of this many pixels when it is decoded at eighths/8 of its size.
inline int scaled(int side, int eighths) { return (side * eighths + 7) / 8; }

}  // namespace rescale_fast
