// What a JPEG file says of itself, read from its markers; nothing is decoded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace rescale_fast {

constexpr int kMaxJpegSide = 65500;  // pixels; libjpeg decodes and encodes no more, though a header can hold more

enum class JpegKind : std::uint8_t {
  plain,            // 8 bits, 1 or 3 components, baseline, extended sequential or progressive: any decoder reads it
  not_jpeg,         // another format, whatever the file's name
  four_components,  // CMYK or YCCK
  odd,              // 12 bits, lossless, arithmetic coding, hierarchical, two components, height not in the header,
                    // or a side above kMaxJpegSide
  incomplete,       // no end-of-image marker, or no image at all behind the first marker
};

struct JpegHeader {
  JpegKind kind = JpegKind::not_jpeg;
  int width = 0;  // pixels; 0 when no frame header was found
  int height = 0;
  int orientation = 1;  // EXIF, 1..8; 1 when absent
};

// Walks the markers of data[0, size). Never reads outside of it, whatever the bytes are. Cost: a few hundred
// bytes for most files; a pass over the file when its last two bytes are not the end-of-image marker.
JpegHeader read_jpeg_header(const std::uint8_t* data, std::size_t size);

// The same file as one of an image of 8 x 8 pixels without their data: every marker that a decoder comes to on its
// way to the first row, and nothing else. A decoder that refuses a plain JPEG refuses this one, too: it does so for its
// markers, not for the data (but for one overflow in progressive files, which takes 32,000 blocks made for it).
// Cost: as read_jpeg_header; a pass over files whose first scan is not the whole image, as progressive ones'.
std::vector<std::uint8_t> without_image_data(const std::uint8_t* data, std::size_t size);

}  // namespace rescale_fast
