package campaign

import "github.com/granter/granter/grant/strict"

// What a campaign spec can break beside the rules of package strict. testdata/bad has a file for each, named after it.
const (
	nameForm        strict.Rule = "name-form"
	titleLength     strict.Rule = "title-length"
	timeOrder       strict.Rule = "time-order"
	populationMaxID strict.Rule = "population-max-id"
	topicForm       strict.Rule = "topic-form"
	topicDeadLetter strict.Rule = "topic-dead-letter"
	formatKnown     strict.Rule = "format-known"
	pathRequired    strict.Rule = "path-required"
	pathForbidden   strict.Rule = "path-forbidden"
	pathForm        strict.Rule = "path-form"
	fromKnown       strict.Rule = "from-known"
	fromHeader      strict.Rule = "from-header"

	schemasRequired  strict.Rule = "schemas-required"
	schemasForbidden strict.Rule = "schemas-forbidden"
	schemasList      strict.Rule = "schemas-list"
	schemasOnce      strict.Rule = "schemas-once"
	schemasText      strict.Rule = "schemas-text"
	schemasPath      strict.Rule = "schemas-path"
	schemasReference strict.Rule = "schemas-reference"

	registryForm      strict.Rule = "registry-form"
	registryForbidden strict.Rule = "registry-forbidden"

	maxRejectedForm  strict.Rule = "max-rejected-form"
	maxRejectedRange strict.Rule = "max-rejected-range"

	deadLettersForm     strict.Rule = "dead-letters-form"
	deadLettersClash    strict.Rule = "dead-letters-clash"
	tombstonesKnown     strict.Rule = "tombstones-known"
	tombstonesForbidden strict.Rule = "tombstones-forbidden"

	idKnown            strict.Rule = "id-known"
	maxIDForbidden     strict.Rule = "max-id-forbidden"
	formatForbidden    strict.Rule = "format-forbidden"
	normaliseForm      strict.Rule = "normalise-form"
	normaliseForbidden strict.Rule = "normalise-forbidden"

	itemsCount        strict.Rule = "items-count"
	itemIDForm        strict.Rule = "item-id-form"
	itemIDUnique      strict.Rule = "item-id-unique"
	kindKnown         strict.Rule = "kind-known"
	validityForm      strict.Rule = "validity-form"
	validityRange     strict.Rule = "validity-range"
	validityFrom      strict.Rule = "validity-from"
	validityOneLength strict.Rule = "validity-one-length"
	validityUntil     strict.Rule = "validity-until"
	untilForbidden    strict.Rule = "until-forbidden"
	zoneKnown         strict.Rule = "zone-known"
	zoneRequired      strict.Rule = "zone-required"
	takeForbidden     strict.Rule = "take-until-forbidden"
	firstForbidden    strict.Rule = "first-forbidden"
	amountRequired    strict.Rule = "amount-required"
	amountForbidden   strict.Rule = "amount-forbidden"
	currencyRequired  strict.Rule = "currency-required"
	currencyForbidden strict.Rule = "currency-forbidden"
	currencyKnown     strict.Rule = "currency-known"

	excludeList   strict.Rule = "exclude-list"
	excludeOne    strict.Rule = "exclude-one"
	excludeOnce   strict.Rule = "exclude-once"
	excludeReason strict.Rule = "exclude-reason"

	approvalActs   strict.Rule = "approval-acts"
	approvalWithin strict.Rule = "approval-within"
)
