#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "beton/block_stream.h"
#include "beton/copy.h"
#include "beton/placer.h"
#include "random_bytes.h"

using namespace rescale_fast;

TEST_CASE("payloads lie one after another, and none across a page") {
  constexpr std::uint64_t kPage = 64;
  Placer placer(kPage, kPage);
  Random random(5);
  std::uint64_t end = kPage;
  for (int i = 0; i < 1000; ++i) {
    const auto size = static_cast<std::uint64_t>(1 + random.below(kPage));
    const std::uint64_t at = placer.place(size);
    CHECK(at / kPage == (at + size - 1) / kPage);
    CHECK((at == end || (at % kPage == 0 && end / kPage != (end + size - 1) / kPage)));
    end = at + size;
    CHECK(placer.end() == end);
  }
}

TEST_CASE("payloads of one sample share a page, and those without bytes have no place") {
  const std::int64_t sizes[] = {30, 20, 10, 10, 0, 0, 0, 15};
  std::int64_t pointers[8] = {};
  place_payloads(sizes, 4, 2, 64, 64, pointers);
  const std::int64_t expected[] = {64, 94, 128, 138, 0, 0, 0, 148};
  CHECK(std::equal(pointers, pointers + 8, expected));
}

TEST_CASE("a stream of pieces gives the blocks of the file that they make") {
  constexpr std::size_t kStart = kDigestBlock, kSize = 10 * kDigestBlock;
  std::vector<std::uint8_t> file(kSize, 0), got(kSize, 0xEE);
  BlockStream stream(kStart);
  std::vector<Block> full;
  Random random(6);
  std::size_t at = kStart;
  const auto write = [&] {
    for (Block& block : full) {
      auto* to = got.data() + block.number * kDigestBlock;
      std::fill_n(to, kDigestBlock, std::uint8_t{0});
      if (!block.empty) std::copy(block.bytes.begin(), block.bytes.end(), to);
      stream.reuse(std::move(block));
    }
    full.clear();
  };
  for (const std::size_t gap : {std::size_t{0}, std::size_t{5}, std::size_t{2} << 20, std::size_t{100}}) {
    const std::vector<std::uint8_t> piece = random_bytes(static_cast<std::size_t>(500'000 + random.below(900'000)), at);
    at += gap;
    std::copy(piece.begin(), piece.end(), file.begin() + static_cast<std::ptrdiff_t>(at));
    stream.add(at, piece.data(), piece.size(), full);
    at += piece.size();
    write();
  }
  stream.skip_to(kSize, full);
  write();
  CHECK(std::equal(file.begin() + kStart, file.end(), got.begin() + kStart));
}

TEST_CASE("digests are XXH3-128 in canonical form") {
  const std::string text = "";
  const Digest empty = digest_bytes(reinterpret_cast<const std::uint8_t*>(text.data()), 0);
  const Digest expected{0x99, 0xaa, 0x06, 0xd3, 0x01, 0x47, 0x98, 0xd8,  // as `xxh128sum` prints it
                        0x60, 0x01, 0xc3, 0x24, 0x46, 0x8d, 0x49, 0x7f};
  CHECK(empty == expected);
}
