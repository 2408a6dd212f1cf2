// Package publish tells the world what became of users: it reads the journals of a campaign's ledger as an outbox, and sends each
// entry to subscribers, a Kafka topic or webhooks, as CloudEvents.
//
// Its promise is at least once, in order for each user, and never what is not in the ledger. An event's ID follows from the entry
// that it is about and from the user alone, so who drops IDs that it has seen has each event once. An event says what its entry
// said, whatever has happened since.
//
// How far a subscriber is, is a cursor for each chunk in Redis, which moves only when the subscriber has acknowledged everything
// below it. It names the last entry by what was in it: a ledger that lost its last writes, and granted other users in their
// place, has other entries at those places; then the cursor goes back to the last entry that is still there, and says so.
package publish
