// Package hooks tells webhooks and programs what becomes of the runs of a campaign: that it starts, is held, is half done, ends,
// fails, or needs somebody.
//
// Its promise is each event once for the campaign, however many processes watch it, and each call of a hook at least once, in
// order, within its time. What was seen and what is still to be told is one document in Redis, which whoever leads by a lease
// changes in one step: so a watcher that is killed is followed by one that tells the rest, and tells nothing anew. The ID of an
// event is the same however often it is told.
//
// A hook can do nothing to a run: watchers only read what runs say of themselves, each hook has a goroutine of its own, and a
// call has a time in which it is over.
package hooks
