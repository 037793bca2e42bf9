"""JPEGs whose header is fine and whose rest is not: sound ones with other marker segments (ITU-T T.81, annex B)."""

import struct

from tests.photos import encoded, photo

SOI, EOI, SOF0, SOF2, DHT, DQT, SOS = b"\xff\xd8", b"\xff\xd9", 0xC0, 0xC2, 0xC4, 0xDB, 0xDA


def parse(jpeg):
    """[marker, body, data behind it] of each segment; the data are a scan's, or nothing."""
    segments, at = [], 2
    while jpeg[at + 1] != EOI[1]:
        (length,) = struct.unpack_from(">H", jpeg, at + 2)
        end = behind = at + 2 + length
        while jpeg[behind] != 0xFF or jpeg[behind + 1] in (0, *range(0xD0, 0xD8)):
            behind += 1
        segments.append([jpeg[at + 1], bytearray(jpeg[at + 4 : end]), jpeg[end:behind]])
        at = behind
    return segments


def join(segments):
    parts = [struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + data for marker, body, data in segments]
    return SOI + b"".join(parts) + EOI


def changed(jpeg, marker, change, which=0):
    """With change(body) done to a segment: the first of this marker, or the `which`-th."""
    segments = parse(jpeg)
    change([body for found, body, _ in segments if found == marker][which])
    return join(segments)


def without(jpeg, *markers):
    return join([segment for segment in parse(jpeg) if segment[0] not in markers])


def put(at, *values):
    def change(body):
        body[at : at + len(values)] = bytes(values)

    return change


def inserted(jpeg, marker, what):
    """With bytes put in front of the first segment of this marker."""
    before = next(i for i, segment in enumerate(parse(jpeg)) if segment[0] == marker)
    segments = parse(jpeg)
    head = join(segments[:before])[: -len(EOI)]
    return head + what + join(segments[before:])[len(SOI) :]


def undecodable(rng):
    """JPEGs of 90 x 70 pixels that no decoder begins: {name: (bytes, what libjpeg or Pillow says)}."""
    baseline, progressive = encoded(photo(rng, 90, 70)), encoded(photo(rng, 90, 70), progressive=True)
    restarts = encoded(photo(rng, 90, 70), progressive=True, restart_marker_blocks=2)
    return {
        "huffman.jpg": (changed(baseline, DHT, put(1, 3)), "Bogus Huffman table"),
        "huffman-last.jpg": (changed(progressive, DHT, put(1, 3), which=-1), "Bogus Huffman table"),
        "no-huffman.jpg": (without(progressive, DHT), "Huffman table 0x00 was not defined"),
        "huffman-number.jpg": (changed(baseline, SOS, put(2, 0x22)), "Huffman table 0x02 was not defined"),
        "no-quantisation.jpg": (without(baseline, DQT), "Quantization table 0x00 was not defined"),
        "quantisation-number.jpg": (changed(progressive, SOF0 + 2, put(8, 3)), "Quantization table 0x03"),
        "component.jpg": (changed(baseline, SOS, put(1, 9)), "Invalid component ID 9 in SOS"),
        "component-last.jpg": (changed(restarts, SOS, put(1, 9), which=-1), "Invalid component ID 9 in SOS"),
        "band.jpg": (changed(progressive, SOS, put(3, 40, 20), which=-1), "Invalid progressive parameters"),
        "sampling.jpg": (changed(baseline, SOF0, put(7, 0x50)), "Bogus sampling factors"),
        "two-frames.jpg": (join([s for s in parse(baseline) for _ in range(1 + (s[0] == SOF0))]), "two SOF markers"),
        "reserved.jpg": (inserted(baseline, SOS, b"\xff\x02"), "cannot identify"),
        "start-twice.jpg": (inserted(baseline, DQT, SOI), "two SOI markers"),
    }


def borrowing(rng):
    """JPEGs that leave their Huffman tables to the decoder, as those cut from films do: the standard's are meant."""
    image = photo(rng, 90, 70)
    grey = encoded(image.convert("L"))
    return {"film.jpg": without(encoded(image), DHT), "grey-film.jpg": without(grey, DHT)}
