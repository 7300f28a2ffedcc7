#include <stdexcept>

#include "movement/take.h"
#include "testing/testing.h"

namespace bitwright::movement {
namespace {

using testing::Random;

Tensor dense(Type type, const std::vector<std::int64_t>& dims) {
    Tensor tensor;
    tensor.type = type;
    tensor.rank = static_cast<int>(dims.size());
    std::int64_t stride = 1;
    for (std::size_t i = dims.size(); i-- > 0;) {
        tensor.dims[i] = dims[i];
        tensor.strides[i] = stride;
        stride *= dims[i];
    }
    return tensor;
}

Table draw(Random& random, std::int64_t size) {
    Table table;
    const int way = random.between(0, 3);
    const std::int64_t length = way < 2 ? size : random.between(1, 6);
    for (std::int64_t i = 0; i < length; ++i)
        table.push_back(way == 0 ? i : way == 1 ? size - 1 - i : random.between(0, static_cast<int>(size) - 1));
    return table;
}

}  // namespace

TEST(take_agrees_with_its_meaning) {
    Random random(1);
    for (int round = 0; round < 1500; ++round) {
        const Type type = round % 3 == 0 ? Type::u8 : round % 3 == 1 ? Type::i16 : Type::f32;
        const std::size_t bytes = bytes_of(type);
        std::vector<std::int64_t> dims, taken;
        std::vector<Table> tables;
        for (int d = 0; d < 3; ++d) {
            dims.push_back(random.between(1, d == 2 ? 40 : 5));
            tables.push_back(draw(random, dims.back()));
            taken.push_back(static_cast<std::int64_t>(tables.back().size()));
        }
        const Tensor x = dense(type, dims), y = dense(type, taken);
        auto of_x = random.fill<std::uint8_t>(static_cast<std::size_t>(x.elements()) * bytes, 0, 255);
        std::vector<std::uint8_t> expected;
        for (const std::int64_t i : tables[0])
            for (const std::int64_t j : tables[1])
                for (const std::int64_t k : tables[2])
                    for (std::size_t b = 0; b < bytes; ++b)
                        expected.push_back(
                            of_x[static_cast<std::size_t>(i * x.strides[0] + j * x.strides[1] + k) * bytes + b]);
        for (int isa = 0; isa <= static_cast<int>(detected_isa()); ++isa) {
            const TakeStep step(static_cast<Isa>(isa), 0, x, 1, y, tables);
            std::vector<std::uint8_t> of_y(expected.size());
            std::byte* const tensors[] = {reinterpret_cast<std::byte*>(of_x.data()),
                                          reinterpret_cast<std::byte*>(of_y.data())};
            const int middle = random.between(0, step.tasks());
            step.run({tensors}, 0, middle, nullptr);
            step.run({tensors}, middle, step.tasks(), nullptr);
            CHECK(of_y == expected);
        }
    }
}

TEST(take_refuses_what_is_outside) {
    const Tensor x = dense(Type::u8, {3}), y = dense(Type::u8, {2});
    for (const auto& [table, fits] :
         {std::pair{Table{0, 2}, true}, {Table{0, 3}, false}, {Table{-1, 0}, false}, {Table{0}, false}}) {
        bool refused = false;
        try {
            const TakeStep step(Isa::scalar, 0, x, 1, y, {table});
        } catch (const std::invalid_argument&) {
            refused = true;
        }
        CHECK(refused != fits);
    }
}

}  // namespace bitwright::movement
