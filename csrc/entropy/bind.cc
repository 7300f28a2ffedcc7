#include "entropy/bind.h"

#include <algorithm>
#include <stdexcept>

#include "entropy/distinct.h"
#include "entropy/rans.h"
#include "entropy/table.h"

namespace bitwright {
namespace {

using Contexts = Array<std::uint8_t>;
template <typename T>
using Result = nb::ndarray<T, nb::c_contig, nb::device::cpu>;

const std::uint8_t* contexts_of(const Contexts& of, std::size_t size) {
    if (of.size() && of.size() != size) throw std::invalid_argument("one context for each symbol, or none at all");
    return of.size() ? of.data() : nullptr;
}

void check_range(int contexts, int alphabet) {
    if (contexts < 1 || contexts > entropy::most_contexts || alphabet < 1 || alphabet > entropy::most_symbols)
        throw std::invalid_argument("1 to 64 contexts, 1 to 4096 symbols");
}

template <typename Symbol>
std::vector<std::uint64_t> counts_of(const Array<Symbol>& symbols, const std::uint8_t* of, int contexts, int alphabet) {
    std::vector<std::uint64_t> counts(static_cast<std::size_t>(contexts) * static_cast<std::size_t>(alphabet));
    if (!entropy::count(symbols.data(), of, symbols.size(), contexts, alphabet, counts.data()))
        throw std::invalid_argument("a symbol or a context is too large");
    return counts;
}

template <typename Symbol>
nb::bytes encode(Array<Symbol> symbols, Contexts of, int contexts, int alphabet) {
    check_range(contexts, alphabet);
    const std::uint8_t* const context = contexts_of(of, symbols.size());
    std::vector<std::uint8_t> coded;
    {
        const nb::gil_scoped_release release;
        const auto counts = counts_of(symbols, context, contexts, alphabet);
        coded = entropy::encode(symbols.data(), context, symbols.size(), counts.data(), contexts, alphabet);
    }
    return nb::bytes(coded.data(), coded.size());
}

template <typename Symbol>
std::size_t coded_bytes(Array<Symbol> symbols, Contexts of, int contexts, int alphabet) {
    check_range(contexts, alphabet);
    const std::uint8_t* const context = contexts_of(of, symbols.size());
    const nb::gil_scoped_release release;
    return entropy::coded_bytes(counts_of(symbols, context, contexts, alphabet).data(), contexts, alphabet);
}

template <typename Symbol>
bool decode(Array<std::uint8_t> data, Contexts of, int contexts, int alphabet, Result<Symbol> symbols) {
    const std::uint8_t* const context = contexts_of(of, symbols.size());
    const nb::gil_scoped_release release;
    return entropy::decode(data.data(), data.size(), context, contexts, alphabet, symbols.data(), symbols.size());
}

std::size_t distinct(Array<std::uint8_t> data, int width, std::size_t limit, Result<std::uint16_t> indices,
                     Result<std::uint64_t> patterns, Result<std::uint64_t> counts) {
    const bool is_width = width == 1 || width == 2 || width == 4 || width == 8;
    if (!is_width || data.size() != indices.size() * static_cast<std::size_t>(width))
        throw std::invalid_argument("elements of 1, 2, 4 or 8 bytes, one index each");
    if (limit < 1 || limit > 65536) throw std::invalid_argument("a limit of 1 to 65536 patterns");
    if (patterns.size() != limit || counts.size() != limit)
        throw std::invalid_argument("room for as many patterns and counts as the limit");
    const nb::gil_scoped_release release;
    entropy::Distinct found;
    if (!entropy::find_distinct(data.data(), indices.size(), width, limit, indices.data(), found)) return limit + 1;
    std::copy(found.patterns.begin(), found.patterns.end(), patterns.data());
    std::copy(found.counts.begin(), found.counts.end(), counts.data());
    return found.patterns.size();
}

}  // namespace

void bind_entropy(nb::module_& m) {
    m.def("encode_symbols", &encode<std::uint8_t>, "symbols"_a, "of"_a, "contexts"_a, "alphabet"_a,
          "rANS bytes of symbols below `alphabet`; `of`: the context of each, empty for one context.");
    m.def("encode_symbols", &encode<std::uint16_t>, "symbols"_a, "of"_a, "contexts"_a, "alphabet"_a);
    m.def("coded_bytes", &coded_bytes<std::uint8_t>, "symbols"_a, "of"_a, "contexts"_a, "alphabet"_a,
          "About how many bytes encode_symbols gives.");
    m.def("coded_bytes", &coded_bytes<std::uint16_t>, "symbols"_a, "of"_a, "contexts"_a, "alphabet"_a);
    m.def("decode_symbols", &decode<std::uint8_t>, "data"_a, "of"_a, "contexts"_a, "alphabet"_a, "symbols"_a,
          "Fill `symbols`; False when the bytes are not what encode_symbols makes of so many.");
    m.def("decode_symbols", &decode<std::uint16_t>, "data"_a, "of"_a, "contexts"_a, "alphabet"_a, "symbols"_a);
    m.def("find_distinct", &distinct, "data"_a, "width"_a, "limit"_a, "indices"_a, "patterns"_a, "counts"_a,
          "How many patterns elements of `width` bytes have, in the order they come; limit + 1 for more than limit.");
}

}  // namespace bitwright
