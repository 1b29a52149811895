/* Notes which basic blocks the board runs, and how often. This file is compiled for the
   computer in use: the emulator calls `see` at each block, ten million times for one
   image of a dense network, and a function in Python would take most of the time. */
#include <stdint.h>

typedef struct {
    uint64_t size;     /* bytes; 0 if the block never ran */
    uint64_t times[2]; /* how often the block before it led there; how often a jump did */
} Block;

typedef struct {
    uint64_t start, places; /* of the flash: its first address, and instructions of 2 bytes */
    uint64_t end;           /* of the last block */
    Block blocks[];         /* one a place */
} Notes;

void see(void *board, uint64_t address, uint32_t size, Notes *notes) {
    uint64_t place = (address - notes->start) / 2;
    if (place < notes->places) {
        notes->blocks[place].size = size;
        notes->blocks[place].times[address != notes->end]++;
    }
    notes->end = address + size;
}

#ifdef _WIN32 /* wants this in a library that has nothing else */
int DllMainCRTStartup(void) { return 1; }
#endif
