// Tests keys, TLS and the switch of the status pages with a certificate that the test makes.
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <csignal>
#include <cstdio>
#include <fstream>
#include <memory>

#include "served.h"
#include "support/raw_client.h"
#include "support/temp_dir.h"

using namespace molink::test;

namespace {

const std::string kKey = "0123456789abcdef-secret";

bool has(const std::string& text, const std::string& word) {
    return text.find(word) != std::string::npos;
}

std::string get_text(const std::string& path, const std::string& fields = {}) {
    return "GET " + path + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" + fields + "\r\n";
}

std::string ask(int port, const std::string& bytes) {
    RawClient client(port);
    REQUIRE(client.send(bytes));
    return client.read_all();
}

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

Key make_key() {
    return Key(::EVP_EC_gen("P-256"), &EVP_PKEY_free);
}

/// Returns a certificate of "localhost" that is signed with its own key and valid for a day.
Certificate make_certificate(EVP_PKEY* key) {
    Certificate made(::X509_new(), &X509_free);
    ::X509_set_version(made.get(), 2);
    ::ASN1_INTEGER_set(::X509_get_serialNumber(made.get()), 1);
    ::X509_gmtime_adj(::X509_getm_notBefore(made.get()), -3600);
    ::X509_gmtime_adj(::X509_getm_notAfter(made.get()), 86400);
    ::X509_set_pubkey(made.get(), key);
    X509_NAME* name = ::X509_get_subject_name(made.get());
    const auto* host = reinterpret_cast<const unsigned char*>("localhost");
    ::X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, host, -1, -1, 0);
    ::X509_set_issuer_name(made.get(), name);
    REQUIRE(::X509_sign(made.get(), key, ::EVP_sha256()) > 0);
    return made;
}

template <typename Write>
void write_pem(const std::string& path, Write write) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "wb"),
                                                               &std::fclose);
    REQUIRE(file != nullptr);
    REQUIRE(write(file.get()) == 1);
}

/// A certificate and its key in files.
struct Files {
    Files() : key(make_key()), certificate(make_certificate(key.get())) {
        write_pem(cert_path,
                  [&](std::FILE* to) { return ::PEM_write_X509(to, certificate.get()); });
        write_pem(key_path, [&](std::FILE* to) {
            return ::PEM_write_PrivateKey(to, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
        });
    }
    TempDir dir;
    std::string cert_path = dir.string() + "/cert.pem";
    std::string key_path = dir.string() + "/key.pem";
    Key key;
    Certificate certificate;
};

/// A TLS connection that trusts one certificate.
class TlsClient {
public:
    TlsClient(int port, X509* trusted, int most_version = 0)
        : raw_(port), context_(::SSL_CTX_new(::TLS_client_method())) {
        std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL
        ::X509_STORE_add_cert(::SSL_CTX_get_cert_store(context_), trusted);
        ::SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, nullptr);
        if (most_version != 0) {
            ::SSL_CTX_set_security_level(context_, 0);
            ::SSL_CTX_set_min_proto_version(context_, TLS1_VERSION);
            ::SSL_CTX_set_max_proto_version(context_, most_version);
        }
        ssl_ = ::SSL_new(context_);
        ::SSL_set_fd(ssl_, raw_.fd());
        up_ = ::SSL_connect(ssl_) == 1;
    }
    ~TlsClient() {
        ::SSL_free(ssl_);
        ::SSL_CTX_free(context_);
    }
    TlsClient(const TlsClient&) = delete;
    TlsClient& operator=(const TlsClient&) = delete;

    bool connected() const { return up_; }
    bool send(const std::string& bytes) {
        return ::SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())) ==
               static_cast<int>(bytes.size());
    }
    std::string read_until(const std::string& text) {
        std::string all;
        char chunk[4096];
        while (all.find(text) == std::string::npos) {
            const int count = ::SSL_read(ssl_, chunk, sizeof chunk);
            if (count <= 0) break;
            all.append(chunk, static_cast<std::size_t>(count));
        }
        return all;
    }
    /// Reads to the end. `clean`: the server has said that there is no more.
    std::string read_all(bool& clean) {
        std::string all = read_until("nothing in an answer is this");
        clean = (::SSL_get_shutdown(ssl_) & SSL_RECEIVED_SHUTDOWN) != 0;
        return all;
    }

private:
    RawClient raw_;
    SSL_CTX* context_;
    SSL* ssl_ = nullptr;
    bool up_ = false;
};

}  // namespace

TEST_CASE("HTTPS serves whole and streamed answers, and ends cleanly") {
    const Files files;
    Served served(0, {"--tls-cert", files.cert_path, "--tls-key", files.key_path}, true, true);
    const auto ready = [&] {
        TlsClient client(served.port, files.certificate.get());
        bool clean = false;
        return client.connected() && client.send(get_text("/health")) &&
               has(client.read_all(clean), " 200 OK");
    };
    REQUIRE(served.until(ready));
    for (const char* more : {R"(,"max_tokens":30)", R"(,"max_tokens":30,"stream":true)"}) {
        TlsClient client(served.port, files.certificate.get());
        REQUIRE(client.connected());
        REQUIRE(client.send(post_text(completion_body(more)) + get_text("/livez")));
        bool clean = false;
        const std::string answers = client.read_all(clean);
        REQUIRE(has(answers, "\"finish_reason\":\"length\""));
        REQUIRE(has(answers, "alive"));
        REQUIRE(clean);
    }
    {  // a client that hangs up cancels
        TlsClient client(served.port, files.certificate.get());
        REQUIRE(client.send(
            post_text(completion_body(R"(,"max_tokens":1900,"ignore_eos":true,"stream":true)"))));
        REQUIRE(has(client.read_until("data: "), "HTTP/1.1 200 OK"));
    }
    const auto shows = [&](const std::string& metric) {
        TlsClient client(served.port, files.certificate.get());
        bool clean = false;
        return client.send(get_text("/metrics")) &&
               has(client.read_all(clean), "\n" + metric + "\n");
    };
    REQUIRE(
        served.until([&] { return shows(R"(molink_completions_total{outcome="cancelled"} 1)"); }));
    // Old versions, plain HTTP and garbage get nothing.
    REQUIRE_FALSE(TlsClient(served.port, files.certificate.get(), TLS1_1_VERSION).connected());
    REQUIRE_FALSE(has(ask(served.port, get_text("/health")), "HTTP/1.1"));
    std::vector<RawClient> silent;  // handshakes that never end
    for (int i = 0; i < 300; ++i) silent.emplace_back(served.port).send("\x16\x03\x01");
    REQUIRE(ready());
    served.server().signal(SIGTERM);
    REQUIRE(served.server().wait(30) == 0);
}

TEST_CASE("a key that does not belong to the certificate is refused") {
    const Files files;
    const Files other;
    Process process(
        std::string(MOLINK_BIN_DIR) + "/molink-serve",
        {"--model", kServedModel, "--tls-cert", files.cert_path, "--tls-key", other.key_path});
    REQUIRE(process.wait(30) == 2);
    INFO(process.errors());
    REQUIRE(has(process.errors(), "--tls-key " + other.key_path));
}

TEST_CASE("without a key nobody gets in, and health answers everybody") {
    const TempDir dir;
    const std::string file = dir.string() + "/keys";
    std::ofstream(file) << "# two clients\n" << kKey << "\nanother-key-0123456789\n";
    const Served served(0, {"--api-key", file, "--http-threads", "1"});
    const std::string key = "Authorization: Bearer " + kKey + "\r\n";
    const std::string body = completion_body(R"(,"max_tokens":2)");
    for (const char* path : {"/v1/models", "/v1/models/kjv", "/metrics", "/cluster"}) {
        INFO(path);
        const std::string refused = ask(served.port, get_text(path));
        REQUIRE(has(refused, "HTTP/1.1 401 Unauthorized"));
        REQUIRE(has(refused, "WWW-Authenticate: Bearer\r\n"));
        REQUIRE(has(refused, "\"code\":\"invalid_api_key\""));
        REQUIRE(has(ask(served.port, get_text(path, key)), "HTTP/1.1 200 OK"));
    }
    const std::string close = "Connection: close\r\n";
    REQUIRE(has(ask(served.port, post_text(body, close)), "HTTP/1.1 401 "));
    REQUIRE(has(ask(served.port, post_text(body, close + "Authorization: Bearer x\r\n")),
                "HTTP/1.1 401 "));
    REQUIRE(has(ask(served.port, post_text(body, close + key)), "HTTP/1.1 200 "));
    REQUIRE(has(ask(served.port, post_text(body, close + "Authorization: Bearer "
                                                         "another-key-0123456789\r\n")),
                "HTTP/1.1 200 "));
    for (const char* path : {"/health", "/livez", "/readyz"}) {
        REQUIRE(has(ask(served.port, get_text(path)), "HTTP/1.1 200 OK"));
    }
    // The body of a stranger is not read.
    const std::string large =
        "POST /v1/completions HTTP/1.1\r\nHost: h\r\n"
        "Content-Type: application/json\r\nContent-Length: 16000000\r\n\r\n";
    REQUIRE(has(ask(served.port, large), "HTTP/1.1 401 "));
}

TEST_CASE("the server says when it is open, and hides its status when told to") {
    const Served served(0, {"--status", "off"});
    REQUIRE(served.get("/metrics").status == 404);
    REQUIRE(served.get("/cluster").status == 404);
    served.server().signal(SIGTERM);
    REQUIRE(served.server().wait(30) == 0);
    REQUIRE(has(served.server().errors(), "open without a key: everybody who reaches"));
}
