// UTF-8 is decoded here, because the strict reader (offset of the first wrong byte) and the
// streaming reader (wrong or only incomplete) need the same step. Properties and decompositions
// come from utf8proc. Its reordering of combining marks takes quadratic time on a long run of them,
// so the marks are sorted here, and utf8proc only decomposes and composes.
#include "tokenizer/unicode.h"

#include <algorithm>
#include <vector>

#include <utf8proc.h>

#include "tokenizer/unicode_supplement.h"

namespace molink {
namespace {

// Returns the number of continuation bytes after a lead byte, or -1. Also narrows the range of the
// first one, which excludes overlong forms, surrogates and values above U+10FFFF.
int continuation_count(unsigned char lead, unsigned char& low, unsigned char& high) {
    low = 0x80;
    high = 0xBF;
    if (lead >= 0xC2 && lead <= 0xDF) return 1;
    if (lead >= 0xE0 && lead <= 0xEF) {
        if (lead == 0xE0) low = 0xA0;
        if (lead == 0xED) high = 0x9F;
        return 2;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        if (lead == 0xF0) low = 0x90;
        if (lead == 0xF4) high = 0x8F;
        return 3;
    }
    return -1;
}

std::uint32_t lead_bits(unsigned char lead, int continuations) {
    return lead & (0x3Fu >> continuations);
}

bool is_ascii(std::string_view bytes) {
    return std::all_of(bytes.begin(), bytes.end(),
                       [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// Appends the full decomposition of one code point.
void decompose(std::uint32_t code_point, unsigned options, std::vector<utf8proc_int32_t>& points) {
    utf8proc_int32_t expansion[32];  // the longest one, a compatibility decomposition, has 18
    int last_boundary = 0;
    const utf8proc_ssize_t count =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code_point), expansion, 32,
                                static_cast<utf8proc_option_t>(options), &last_boundary);
    if (count > 0 && count <= 32) {
        points.insert(points.end(), expansion, expansion + count);
    } else {
        points.push_back(static_cast<utf8proc_int32_t>(code_point));
    }
}

void sort_marks(std::vector<utf8proc_int32_t>& points) {
    const auto combining_class = [](utf8proc_int32_t p) {
        return utf8proc_get_property(p)->combining_class;
    };
    for (auto it = points.begin(); it != points.end();) {
        if (combining_class(*it) == 0) {
            ++it;
            continue;
        }
        const auto end = std::find_if(it, points.end(),
                                      [&](utf8proc_int32_t p) { return combining_class(p) == 0; });
        std::stable_sort(it, end, [&](utf8proc_int32_t a, utf8proc_int32_t b) {
            return combining_class(a) < combining_class(b);
        });
        it = end;
    }
}

// Sorts the marks of decomposed code points, composes them if asked, writes them and clears the
// list.
void write_normalized(std::vector<utf8proc_int32_t>& points, bool composed, std::string& out) {
    sort_marks(points);
    std::size_t count = points.size();
    if (composed) {
        const utf8proc_ssize_t size = utf8proc_normalize_utf32(
            points.data(), static_cast<utf8proc_ssize_t>(points.size()),
            static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
        if (size >= 0) count = static_cast<std::size_t>(size);
    }
    for (std::size_t i = 0; i < count; ++i) {
        append_utf8(static_cast<std::uint32_t>(points[i]), out);
    }
    points.clear();
}

bool in_other_alphabetic_symbols(std::uint32_t p) {
    return (p >= 0x24B6 && p <= 0x24E9) || (p >= 0x1F130 && p <= 0x1F149) ||
           (p >= 0x1F150 && p <= 0x1F169) || (p >= 0x1F170 && p <= 0x1F189);
}

}  // namespace

Utf8Step utf8_step(std::string_view bytes, std::size_t offset) {
    using Kind = Utf8Step::Kind;
    const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
    const unsigned char lead = at(offset);
    if (lead < 0x80) return {Kind::valid, 1, lead};
    unsigned char low = 0;
    unsigned char high = 0;
    const int continuations = continuation_count(lead, low, high);
    if (continuations < 0) return {Kind::invalid, 1, 0};
    std::uint32_t code_point = lead_bits(lead, continuations);
    for (std::size_t i = 1; i <= static_cast<std::size_t>(continuations); ++i) {
        if (offset + i >= bytes.size()) return {Kind::incomplete, i, 0};
        const unsigned char byte = at(offset + i);
        if (byte < low || byte > high) return {Kind::invalid, i, 0};
        low = 0x80;
        high = 0xBF;
        code_point = (code_point << 6) | (byte & 0x3Fu);
    }
    return {Kind::valid, static_cast<std::size_t>(continuations) + 1, code_point};
}

std::optional<std::size_t> find_invalid_utf8(std::string_view bytes) {
    for (std::size_t offset = 0; offset < bytes.size();) {
        const Utf8Step step = utf8_step(bytes, offset);
        if (step.kind != Utf8Step::Kind::valid) return offset;
        offset += step.length;
    }
    return std::nullopt;
}

void append_utf8(std::uint32_t code_point, std::string& out) {
    utf8proc_uint8_t buffer[4];
    const utf8proc_ssize_t size =
        utf8proc_encode_char(static_cast<utf8proc_int32_t>(code_point), buffer);
    out.append(reinterpret_cast<const char*>(buffer), static_cast<std::size_t>(size));
}

bool is_space(std::uint32_t p) {
    return (p >= 0x09 && p <= 0x0D) || p == 0x20 || p == 0x85 || p == 0xA0 || p == 0x1680 ||
           (p >= 0x2000 && p <= 0x200A) || p == 0x2028 || p == 0x2029 || p == 0x202F ||
           p == 0x205F || p == 0x3000;
}

bool is_word(std::uint32_t p) {
    switch (utf8proc_category(static_cast<utf8proc_int32_t>(p))) {
        case UTF8PROC_CATEGORY_LU:
        case UTF8PROC_CATEGORY_LL:
        case UTF8PROC_CATEGORY_LT:
        case UTF8PROC_CATEGORY_LM:
        case UTF8PROC_CATEGORY_LO:
        case UTF8PROC_CATEGORY_MN:
        case UTF8PROC_CATEGORY_MC:
        case UTF8PROC_CATEGORY_ME:
        case UTF8PROC_CATEGORY_ND:
        case UTF8PROC_CATEGORY_NL:
        case UTF8PROC_CATEGORY_PC: return true;
        default: break;
    }
    for (std::string_view category : {"L", "M", "Nd", "Nl", "Pc"}) {
        if (supplement_holds(p, category)) return true;
    }
    return p == 0x200C || p == 0x200D || in_other_alphabetic_symbols(p);
}

std::string normalize_utf8(std::string_view utf8, NormalizationForm form) {
    if (is_ascii(utf8)) return std::string(utf8);
    const bool compatibility = form == NormalizationForm::nfkc || form == NormalizationForm::nfkd;
    const bool composed = form == NormalizationForm::nfc || form == NormalizationForm::nfkc;
    unsigned options = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
    if (compatibility) options |= UTF8PROC_COMPAT;
    std::string out;
    out.reserve(utf8.size());
    std::vector<utf8proc_int32_t> points;
    for (std::size_t offset = 0; offset < utf8.size();) {
        const Utf8Step step = utf8_step(utf8, offset);
        if (is_newer_than_normalization(step.code_point)) {
            write_normalized(points, composed, out);
            out += utf8.substr(offset, step.length);
        } else {
            decompose(step.code_point, options, points);
        }
        offset += step.length;
    }
    write_normalized(points, composed, out);
    return out;
}

}  // namespace molink
