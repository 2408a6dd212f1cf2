package programme

import "github.com/granter/granter/grant/strict"

// The known fields, in the order in which a programme is read aloud.
var (
	programmeFields = []strict.Known{
		strict.Required("programme", "outage-2022"),
		strict.Required("title", "Support after the outage of October 2022"),
		strict.Required("zone", "Asia/Seoul"),
		strict.Required("outage", "{from: 2022-10-15, through: 2022-10-21}"),
		strict.Required("windows", "[{name: reports, kind: report, from: 2022-10-19T00:00:00, before: 2022-11-07T00:00:00}]"),
		strict.Required("loss", "{weeks: max, from: 2022-09-03, through: 2022-10-14}"),
		strict.Required("assessment", "{profit_rate: 20%, service_share: 70%}"),
		strict.Required("tiers", "{table: [{below: 300000, pay: 30000}, {above: true, review: true}]}"),
		strict.Optional("eligibility", "{opened_before: 2022-10-15}"),
		strict.Optional("budget", "5000000000"),
		strict.Optional("cap", "10000000"),
		strict.Optional("second_person_from", "1000000"),
		strict.Optional("second_look", "2%"),
		strict.Optional("withheld", "3.3%"),
		strict.Optional("stagger", "[{on: 2022-10-19, digits: [1, 6]}, {on: 2022-10-20, digits: [2, 7]}]"),
		strict.Optional("council", "{affiliations: [consumers, academia], quorum: 5, chair: [academia]}"),
	}
	staggerFields = []strict.Known{strict.Required("on", "2022-10-19"), strict.Required("digits", "[1, 6]")}
	periodFields  = []strict.Known{strict.Required("from", "2022-10-15"), strict.Required("through", "2022-10-21")}
	windowFields  = []strict.Known{
		strict.Required("name", "reports"), strict.Required("kind", "report"), strict.Required("from", "2022-10-19T00:00:00"),
		strict.Optional("before", "2022-11-07T00:00:00"), strict.Optional("until", "2022-11-06T23:59:59"),
	}
	lossFields = []strict.Known{
		strict.Required("weeks", "max"), strict.Optional("from", "2022-09-03"), strict.Optional("through", "2022-10-14"),
	}
	assessmentFields = []strict.Known{
		strict.Required("profit_rate", "20%"), strict.Optional("by_industry", "{restaurants: 15%}"),
		strict.Optional("own_rate", "with_evidence"),
		strict.Required("service_share", "70%"), strict.Optional("alternative", "50%"), strict.Optional("rounding", "down"),
	}
	tiersFields = []strict.Known{
		strict.Optional("basis", "sales_loss"),
		strict.Required("table", "[{below: 300000, pay: 30000}, {above: true, review: true}]"),
	}
	tierFields = []strict.Known{
		strict.Optional("below", "300000"), strict.Optional("up_to", "300000"), strict.Optional("above", "true"),
		strict.Optional("pay", "30000"), strict.Optional("review", "true"),
		strict.Optional("documents", "[proof_of_sales_damage]"),
	}
	eligibilityFields = []strict.Known{
		strict.Optional("opened_before", "2022-10-15"), strict.Optional("closed_before", "2022-10-15"),
		strict.Optional("excluded_industries", "{gambling: not a small business by law}"),
	}
)

var councilFields = []strict.Known{
	strict.Optional("from", "2000000"), strict.Required("affiliations", "[consumers, small_business, academia, company]"),
	strict.Required("quorum", "5"), strict.Optional("affiliations_present", "3"),
	strict.Optional("majority", "more_than_half"), strict.Required("chair", "[academia]"),
	strict.Optional("at_most", "assessed_loss"), strict.Optional("objections", "approver"),
}

// What a programme can break beside the rules of package strict.
const (
	nameForm      strict.Rule = "name-form"
	zoneKnown     strict.Rule = "zone-known"
	dateForm      strict.Rule = "date-form"
	momentForm    strict.Rule = "moment-form"
	order         strict.Rule = "order"
	oneEnd        strict.Rule = "one-end"
	windowUnique  strict.Rule = "window-unique"
	windowOverlap strict.Rule = "window-overlap"
	wordKnown     strict.Rule = "word-known"
	percentForm   strict.Rule = "percent-form"
	baseline      strict.Rule = "baseline"
	tierOrder     strict.Rule = "tier-order"
	tierPay       strict.Rule = "tier-pay"
	tierLast      strict.Rule = "tier-last"
	tierDocuments strict.Rule = "tier-documents"
	councilRules  strict.Rule = "council"
	staggerRules  strict.Rule = "stagger"
)
