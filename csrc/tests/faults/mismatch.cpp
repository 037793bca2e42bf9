// Built with the headers of one libjpeg and run with the library of another.
#include <cstdio>

#include "image/jpeg_codec.h"
#include "image/jpeg_planes.h"

using namespace rescale_fast;

template <typename Work>
void report(const Work& work) {
  try {
    work();
    std::puts("no error");
  } catch (const ImageError& error) {
    std::puts(error.what());
  }
}

int main() {
  const std::uint8_t start[] = {0xFF, 0xD8, 0xFF, 0xE0};
  Pixels pixels{1, 1, {0, 0, 0}};
  report([&] { decode_jpeg(start, sizeof start, 8, false, pixels); });
  report([&] { resize_jpeg(start, sizeof start, 8, 1, 1, 90); });
  report([&] { encode_jpeg(pixels, 90); });
}
