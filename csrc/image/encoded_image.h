// An image file's bytes as they are, and what its header says of them; nothing is decoded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "image/image_file.h"

namespace rescale_fast {

struct EncodedImage : FileBytes {
  bool is_plain = false;      // see is_plain_image
  int width = 0, height = 0;  // pixels, as the header has it; of plain images only
};

// Whether every decoder gives the same pixels, as far as a header can tell; if so, sets the size. Such are JPEGs of
// JpegKind::plain, and complete PNGs of 8 bits without interlacing or animation. Never reads outside of data[0, size),
// whatever the bytes are. Cost: that of read_jpeg_header; of a PNG, only the heads of its chunks are looked at.
bool is_plain_image(const std::uint8_t* data, std::size_t size, int& width, int& height);

// Reads a whole file as ask_for_file does.
EncodedImage read_encoded_image(const std::string& path);

}  // namespace rescale_fast
