package grafana

// Units. Those that begin with count: are shortened (1.23 M users/s).
const (
	users          = "count:users"
	usersPerSecond = "count:users/s"
	records        = "count:records"
	recordsPerSec  = "count:records/s"
	perSecond      = "count:/s"
	number         = "locale" // with all its digits
	seconds        = "s"
	bytesIEC       = "bytes"
	bytesPerSecond = "binBps"
	share          = "percentunit"
	date           = "dateTimeAsIso" // from milliseconds
	plain          = "none"
)

type look struct{ defaults, options object }

// looks is how panels of a kind look, unless they say otherwise.
var looks = map[string]look{
	"stat": {
		options: object{"reduceOptions": object{"calcs": []string{"lastNotNull"}}, "colorMode": "none", "graphMode": "none", "textMode": "auto"},
	},
	"gauge": {
		defaults: merge(object{"min": 0, "max": 1}, thresholds("green")),
		options:  object{"reduceOptions": object{"calcs": []string{"lastNotNull"}}},
	},
	"bargauge": {
		defaults: object{"min": 0, "color": object{"mode": "palette-classic"}},
		options: object{
			"reduceOptions": object{"calcs": []string{"lastNotNull"}}, "orientation": "horizontal", "displayMode": "basic",
		},
	},
	"timeseries": {
		defaults: object{
			"color":  object{"mode": "palette-classic"},
			"custom": object{"fillOpacity": 10, "lineWidth": 1, "showPoints": "never", "stacking": object{"mode": "none"}},
		},
		options: object{
			"legend":  object{"displayMode": "list", "placement": "bottom", "showLegend": true},
			"tooltip": object{"mode": "multi", "sort": "desc"},
		},
	},
	"state-timeline": {
		defaults: object{"color": object{"mode": "thresholds"}, "custom": object{"fillOpacity": 80, "lineWidth": 0}},
		options: object{
			"mergeValues": true, "showValue": "never", "rowHeight": 0.8,
			"legend": object{"displayMode": "list", "placement": "bottom", "showLegend": false}, "tooltip": object{"mode": "single"},
		},
	},
	"heatmap": {
		options: object{
			"calculate": false, "yAxis": object{"unit": seconds}, "color": object{"mode": "scheme", "scheme": "Oranges", "steps": 64},
			"cellGap": 1, "tooltip": object{"mode": "single"}, "legend": object{"show": true},
		},
	},
	"table": {
		options: object{"showHeader": true, "cellHeight": "sm"},
	},
}

func stat(title, about, unit, expr string) panel {
	return panel{kind: "stat", title: title, about: about, unit: unit, queries: []query{{expr: expr}}}
}

func graph(title, about, unit string, queries ...query) panel {
	return panel{kind: "timeseries", title: title, about: about, unit: unit, queries: queries}
}

// timeline shows when something was the case: a query has samples only while it is.
func timeline(title, about, color string, queries ...query) panel {
	return panel{kind: "state-timeline", title: title, about: about, unit: plain, queries: queries, defaults: thresholds(color)}
}

func heatmap(title, about, unit, expr string) panel {
	return panel{kind: "heatmap", title: title, about: about, unit: unit, queries: []query{{expr, "{{le}}"}}}
}

// table shows the labels and values of now; several queries make one line for each campaign.
func table(title, about, unit string, names object, queries ...query) panel {
	hidden := object{"Time": true, "__name__": true}
	return panel{
		kind: "table", title: title, about: about, unit: unit, queries: queries,
		transformations: []object{
			{"id": "merge", "options": object{}},
			{"id": "organize", "options": object{"excludeByName": hidden, "renameByName": names}},
		},
	}
}

// stacked piles the series up, where their sum means something.
func (p panel) stacked() panel {
	p.defaults = merge(p.defaults, object{
		"custom": object{"fillOpacity": 30, "lineWidth": 1, "showPoints": "never", "stacking": object{"mode": "normal"}},
	})
	return p
}

// from0 makes differences look as large as they are.
func (p panel) from0() panel {
	p.defaults = merge(p.defaults, object{"min": 0})
	return p
}

// runbook links the runbook's section on an alert.
func (p panel) runbook(alert string) panel {
	p.alert = alert
	return p
}

// warns colours a number that should be 0, and is not.
func (p panel) warns() panel {
	p.options = merge(p.options, object{"colorMode": "value"})
	p.defaults = merge(p.defaults, thresholds("green", object{"color": "red", "value": 1}))
	return p
}

// thresholds colours a value by what it has reached. The first step is the colour below all others.
func thresholds(base string, steps ...object) object {
	return object{"thresholds": object{"mode": "absolute", "steps": append([]object{{"color": base, "value": nil}}, steps...)}}
}
