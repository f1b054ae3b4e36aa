// molink-key: makes key pairs and join tokens, and edits the access file of a head. Exit status: 0
// done, 1 failed, 2 wrong flags.
#include <cstdio>
#include <functional>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <molink/security.h>
#include <molink/version.h>

#include "common/flag_sources.h"

namespace molink::examples {
namespace {

constexpr double kMaxHours = 10.0 * 365 * 24;

/// What the user typed.
struct KeyFlags {
    std::string file;  // of a key pair
    std::string allow;
    std::string address;
    std::string public_key;
    std::string name;
    double hours = 24;
    bool reusable = false;
};

int fail(const Status& status) {
    fmt::print(stderr, "molink-key: {}\n", status.message());
    return status.code() == StatusCode::invalid_argument ? 2 : 1;
}

int make_new(const KeyFlags& flags) {
    const KeyPair pair = make_key_pair();
    const Status written = write_key_file(flags.file, pair);
    if (!written.ok()) return fail(written);
    fmt::print("{}\n", key_text(pair.public_key));
    return 0;
}

int show(const KeyFlags& flags) {
    const auto pair = read_key_file(flags.file);
    if (!pair) return fail(pair.error());
    fmt::print("{}\n", key_text(pair->public_key));
    return 0;
}

int make_token(const KeyFlags& flags) {
    const auto pair = read_key_file(flags.file);
    if (!pair) return fail(pair.error());
    if (!(flags.hours > 0 && flags.hours <= kMaxHours)) {
        return fail(Status(StatusCode::invalid_argument,
                           fmt::format("--hours is {}; more than 0 and at most {} are permitted",
                                       flags.hours, kMaxHours)));
    }
    const auto token =
        add_join_token(flags.allow, pair->public_key, flags.address,
                       static_cast<std::int64_t>(flags.hours * 3600), flags.reusable);
    if (!token) return fail(token.error());
    fmt::print("{}\n", token_text(*token));
    return 0;
}

int change(const KeyFlags& flags, const std::function<Status(const PublicKey&)>& edit) {
    const auto key = parse_public_key(flags.public_key);
    if (!key) return fail(key.error());
    const Status edited = edit(*key);
    return edited.ok() ? 0 : fail(edited);
}

int run(int argc, char** argv) {
    CLI::App app{"Makes keys and join tokens, and edits the access file of a head."};
    app.require_subcommand(1);
    app.footer(
        "Example:\n"
        "  molink-key new head.key\n"
        "  molink-key token --key head.key --allow head.access --address tcp://192.0.2.1:7100");
    KeyFlags flags;
    CLI::App* make = app.add_subcommand("new", "write a new key pair; prints its public key");
    make->add_option("FILE", flags.file, "file to write; it must not exist")->required();
    CLI::App* print = app.add_subcommand("show", "print the public key of a key pair");
    print->add_option("FILE", flags.file, "file of the key pair")->required();
    CLI::App* token = app.add_subcommand("token", "print a token that lets one machine join");
    token->add_option("--key", flags.file, "key pair of the head")->required();
    token->add_option("--allow", flags.allow, "access file of the head")->required();
    token->add_option("--address", flags.address, "address at which workers reach the head")
        ->required();
    token->add_option("--hours", flags.hours, "hours until the token expires")
        ->capture_default_str();
    token->add_flag("--reusable", flags.reusable, "let several machines join with the token");
    CLI::App* allow = app.add_subcommand("allow", "permit a key");
    allow->add_option("--allow", flags.allow, "access file of the head")->required();
    allow->add_option("KEY", flags.public_key, "public key of the worker")->required();
    allow->add_option("NAME", flags.name, "name of the worker, for people");
    CLI::App* revoke = app.add_subcommand("revoke", "remove a key; its node loses its link");
    revoke->add_option("--allow", flags.allow, "access file of the head")->required();
    revoke->add_option("KEY", flags.public_key, "public key of the worker")->required();
    app.set_version_flag("--version", version_text());
    if (const auto status = parse_flags(app, argc, argv)) return *status;
    if (*make) return make_new(flags);
    if (*print) return show(flags);
    if (*token) return make_token(flags);
    return change(flags, [&](const PublicKey& key) {
        return *allow ? allow_key(flags.allow, key, flags.name) : revoke_key(flags.allow, key);
    });
}

}  // namespace
}  // namespace molink::examples

int main(int argc, char** argv) {
    return molink::examples::run(argc, argv);
}
