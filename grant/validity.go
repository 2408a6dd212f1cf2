package grant

import "time"

// Validity says how long a user holds an item. Its zero value is: for good, from the grant.
type Validity struct {
	Length   time.Duration // from the moment it begins, a day being 24 hours; 0: permanent, unless there are Days
	Days     int           // calendar days, in the campaign's zone; 0: see Length
	EndOfDay bool          // the day on which it begins is the first of the Days, and it ends with the last of them
	Taken    bool          // it begins when the user takes the item, and not with the grant
}

// Permanent reports whether it never ends.
func (v Validity) Permanent() bool { return v.Length == 0 && v.Days == 0 }

// End returns the first moment at which an item is not held any more; zero: it is permanent. Days are those of the calendar
// in a zone: one has 23 or 25 hours when the clocks are changed.
func (v Validity) End(from time.Time, zone *time.Location) time.Time {
	switch {
	case v.Length > 0:
		return from.Add(v.Length)
	case v.Days == 0:
		return time.Time{}
	case v.EndOfDay:
		year, month, day := from.In(zone).Date()
		return StartOfDay(year, month, day+v.Days, zone)
	}
	return from.In(zone).AddDate(0, 0, v.Days)
}

// StartOfDay returns the first moment of a calendar day: not 00:00 where clocks are set forward at midnight, and the first of
// two where they are set back over it. A day that a zone left out begins with the next.
func StartOfDay(year int, month time.Month, day int, zone *time.Location) time.Time {
	utc := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	at := utc.Add(-16 * time.Hour).In(zone) // the day has begun nowhere
	for {                                   // through the periods in which the zone had one offset
		_, offset := at.Zone()
		_, ends := at.ZoneBounds()
		midnight := utc.Add(-time.Duration(offset) * time.Second)
		if midnight.Before(at) { // the clocks were set forward over it
			midnight = at
		}
		if ends.IsZero() || midnight.Before(ends) {
			return midnight.In(zone)
		}
		at = ends
	}
}
