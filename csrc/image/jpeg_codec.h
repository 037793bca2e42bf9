// JPEG to RGB pixels and back, through libjpeg-turbo.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace rescale_fast {

// Why one image cannot be used; its text is the reason that is shown.
struct ImageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Pixels {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> data;  // (height, width, 3), RGB
};

// Decodes a whole JPEG of 1 or 3 components at eighths/8 of its size (1..8), each side rounded up. Exact inverse
// DCT and smooth chroma, as Pillow does. Damaged data is decoded as far as it goes, as Pillow does; with `strict` any
// warning of the decoder is an error. Throws ImageError.
void decode_jpeg(const std::uint8_t* data, std::size_t size, int eighths, bool strict, Pixels& out);

// Whether every decoder begins with this plain JPEG: its tables are its own and its scans are sound, so that an image
// of its own comes out, whatever the data of the pixels are. None of these are read: it takes a hundredth of
// decode_jpeg's time.
bool is_decodable(const std::uint8_t* data, std::size_t size);

// Encodes as a baseline 4:2:0 JPEG. Throws ImageError.
std::vector<std::uint8_t> encode_jpeg(const Pixels& image, int quality);

}  // namespace rescale_fast
