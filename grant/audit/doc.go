// Package audit proves a campaign from outside: it reads the topic again and the ledger, and says whether everybody who has a
// record is granted, once, and nobody else, or names exactly who is not. It believes neither the checkpoint nor the counts of
// those who granted, keeps its own bits, and reads bitmaps and journals by their documented layout with code of its own.
//
// What it reads is of several moments, in an order that keeps the comparison fair while a run goes on:
//
//  1. what Kafka has for the group, then the checkpoint C: everybody with a record below C must be settled from here on
//  2. the ledger L, each chunk at one moment, and the topic up to C
//  3. where the topic ends, E: everybody whom a run granted in L has a record below E
//  4. the topic from C to E, and the dead-letter topic
//
// Missing is who has a record below C and is not settled in L; extra is who was granted by a run in L and has no record below E.
// Memory is bounded: where the users' bits do not fit, the topic is read in passes over ranges of chunks.
package audit
