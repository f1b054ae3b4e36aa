"""The smallest program in Python, with only the standard library: hello.py [MODEL_FOLDER].

MOLINK_LIBRARY names the library; without it the loader finds it. Structs of the C interface may be
declared with only their leading fields; the other fields then have their defaults.
"""
import ctypes
import os
import sys


class EngineOptions(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("model_dir", ctypes.c_char_p)]


class Request(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("prompt", ctypes.c_char_p)]


class Event(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("request", ctypes.c_uint64),
                ("user_data", ctypes.c_void_p), ("index", ctypes.c_int32),
                ("finish_reason", ctypes.c_int32), ("last", ctypes.c_int32),
                ("status", ctypes.c_int32), ("message", ctypes.c_char_p),
                ("text", ctypes.c_char_p), ("text_size", ctypes.c_size_t)]


library = ctypes.CDLL(os.environ.get("MOLINK_LIBRARY", "libmolink_c.so.0"))
library.molink_error_message.restype = ctypes.c_char_p
library.molink_error_message.argtypes = [ctypes.c_void_p]


def call(name, *arguments):
    """Calls a function that returns molink_error*; an error becomes an exception."""
    function = getattr(library, name)
    function.restype = ctypes.c_void_p
    error = function(*arguments)
    if error:
        message = library.molink_error_message(error).decode()
        library.molink_error_release(ctypes.c_void_p(error))
        raise RuntimeError(message)


def generate(engine, prompt):
    """Yields the text as it comes."""
    queue = ctypes.c_void_p()
    call("molink_queue_create", ctypes.byref(queue))
    request = Request(ctypes.sizeof(Request), prompt.encode())
    call("molink_engine_submit_to_queue", engine, ctypes.byref(request), queue, None, None)
    last = False
    while not last:
        event = ctypes.POINTER(Event)()
        call("molink_queue_next", queue, ctypes.c_int64(-1), ctypes.byref(event))
        if event.contents.status != 0:
            raise RuntimeError(event.contents.message.decode())
        yield event.contents.text.decode()
        last = event.contents.last
        library.molink_event_release(event)
    library.molink_queue_destroy(queue)


def main():
    model = sys.argv[1] if len(sys.argv) > 1 else "examples/models/kjv"
    options = EngineOptions(ctypes.sizeof(EngineOptions), os.fsencode(model))
    engine = ctypes.c_void_p()
    call("molink_engine_create", ctypes.byref(options), ctypes.byref(engine))
    call("molink_engine_wait_ready", engine, ctypes.c_int64(60_000_000))
    for text in generate(engine, "In the beginning"):
        print(text, end="", flush=True)
    print()
    call("molink_engine_destroy", engine)


if __name__ == "__main__":
    main()
