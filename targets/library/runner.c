/* Loads a model's library and does what the requests on standard input say; for emulators.
 *
 *     runner LIBRARY PREFIX MEMORY_BYTES DESCRIPTOR
 *
 * A request is a letter and two uint64 a, b:
 *     W  write b bytes, that follow, to the memory at a
 *     G  give b bytes of the memory from a on, on standard output
 *     R  run one inference
 *     N  do nothing, at the cost of a request
 *     I  run the words a .. b-1 of the program
 *     Z  reset
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void nothing(void *memory) { (void)memory; }

int main(int count, char **arguments) {
    if (count != 5) fail("four arguments are needed");
    void *library = dlopen(arguments[1], RTLD_NOW);
    if (library == NULL) fail(dlerror());
    char name[512];
    snprintf(name, sizeof name, "%s_reset", arguments[2]);
    int (*reset)(void *) = (int (*)(void *))dlsym(library, name);
    snprintf(name, sizeof name, "%s_run", arguments[2]);
    void (*run)(void *) = (void (*)(void *))dlsym(library, name);
    snprintf(name, sizeof name, "%s_instructions", arguments[2]);
    int (*instructions)(void) = (int (*)(void))dlsym(library, name);
    if (reset == NULL || run == NULL || instructions == NULL) fail("the library has no such model");
    size_t size = strtoull(arguments[3], NULL, 10);
    uint8_t *memory = aligned_alloc(64, size);
    if (memory == NULL) fail("not enough memory");
    memset(memory, 0, size);
    int64_t *descriptor = (int64_t *)(memory + strtoull(arguments[4], NULL, 10));
    int32_t set = instructions();
    fwrite(&set, sizeof set, 1, stdout);
    if (reset(memory) != 0) fail("the memory is not aligned");
    int64_t end = descriptor[5];
    uint8_t letter;
    uint64_t range[2];
    while (fread(&letter, 1, 1, stdin) == 1 && fread(range, 8, 2, stdin) == 2) {
        if (letter == 'W') {
            if (fread(memory + range[0], 1, range[1], stdin) != range[1]) fail("too few bytes");
        } else if (letter == 'G') {
            fwrite(memory + range[0], 1, range[1], stdout);
        } else if (letter == 'Z') {
            reset(memory);
        } else if (letter == 'I') {
            descriptor[4] = (int64_t)range[0];
            descriptor[5] = (int64_t)range[1];
            run(memory);
            descriptor[4] = 0;
            descriptor[5] = end;
        } else {
            (letter == 'R' ? run : nothing)(memory);
        }
    }
    return 0;
}
