package desk

import (
	"bytes"
	"encoding"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/acts"
	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/claims/council"
	"github.com/granter/granter/grant/claims/council/vote"
	"github.com/granter/granter/grant/claims/intake"
	"github.com/granter/granter/grant/claims/review"
	"github.com/granter/granter/grant/entitle"
	"github.com/granter/granter/grant/lookup"
	"github.com/granter/granter/grant/rejected"
	"github.com/granter/granter/grant/status"
)

var parsed = sync.OnceValues(func() (*openapi3.T, error) { return openapi3.NewLoader().LoadFromData(document) })

// routed validates the document, its examples included.
var routed = sync.OnceValues(func() (routers.Router, error) {
	doc, err := parsed()
	if err != nil {
		return nil, err
	}
	return legacy.NewRouter(doc)
})

// described is the API's document, and finds the operation of a request in it.
func described(t *testing.T) (*openapi3.T, routers.Router) {
	t.Helper()
	router, err := routed()
	require.NoError(t, err)
	doc, err := parsed()
	require.NoError(t, err)
	return doc, router
}

// conforms requires that an answer is as the document says and, when the request was good, that the request is, too.
func conforms(t *testing.T, r *http.Request, response *http.Response, body []byte) {
	t.Helper()
	_, router := described(t)
	route, parameters, err := router.FindRoute(r)
	switch {
	case err != nil && response.StatusCode == http.StatusNotFound, response.StatusCode == http.StatusMethodNotAllowed,
		r.Method == http.MethodOptions, r.Method == http.MethodHead: // in no document: each GET has one
		return
	case err != nil:
		require.NotContains(t, r.URL.Path, "/api/", "it is not in the document") // but a file of the page
		return
	}
	request := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: parameters, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true,
			MultiError: true},
	}
	if response.StatusCode == http.StatusOK {
		require.NoError(t, openapi3filter.ValidateRequest(t.Context(), request))
	}
	require.NoError(t, openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: request, Status: response.StatusCode, Header: response.Header,
		Body: io.NopCloser(bytes.NewReader(body)), Options: request.Options,
	}), "%s %s: %d %s", r.Method, r.URL, response.StatusCode, body)
}

func TestTheDocumentHasEveryRouteAndNoOther(t *testing.T) {
	doc, _ := described(t)
	var in []string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			in = append(in, method+" "+path)
		}
	}
	served := []string{"GET /", "GET /campaigns/{campaign}/", "GET /api/openapi.yaml"}
	for _, r := range slices.Concat(new(api).routes(), new(api).searchRoutes()) {
		served = append(served, r.pattern)
	}
	served = slices.AppendSeq(served, maps.Keys(new(api).oidcRoutes()))
	require.ElementsMatch(t, served, in)
}

// How many are asked for at once is one number, wherever it is said.
func TestTheDocumentSaysHowManyAtOnce(t *testing.T) {
	doc, _ := described(t)
	require.InDelta(t, lookup.MaxAtOnce, *doc.Components.Parameters["Limit"].Value.Schema.Value.Max, 0)
	form := doc.Paths.Find(searchPath).Post.RequestBody.Value.Content.Get(formType).Schema.Value
	require.Contains(t, form.Properties["q"].Value.Description, lookup.English.Number(lookup.MaxAtOnce))
}

// Every field that Go sends is in the schema, every field of the schema is sent, and what is optional agrees.
func TestTheSchemasHaveEveryField(t *testing.T) {
	doc, _ := described(t)
	seen := map[string]bool{}
	for name, of := range map[string]any{
		"Status": status.Status{}, "Act": grant.HistoryEntry{}, "Problem": Problem{}, "Take": Take{}, "Me": me{},
		"Ordered": ordered{}, "Check": Check{}, "Holdings": Holdings{}, "User": User{}, "Order": order{}, "Brief": status.Brief{},
		"ActReport": acts.Report{}, "Receipt": audit.Receipt{},
		"ClaimForm": intake.Form{}, "FiledClaim": filedOne{}, "FiledClaims": filedMany{}, "ClaimNow": ClaimNow{},
		"ReportForm": intake.ReportForm{}, "ImportedReports": importedReports{},
		"Council": council.Now{}, "CouncilAct": review.CouncilAct{}, "Meeting": meetingSaid{}, "AgendaItem": council.Case{},
		"InForce": inForce{}, "Decided": decided{}, "Rejected": rejected.Listing{},
	} {
		compare(t, name, doc.Components.Schemas[name].Value, reflect.TypeOf(of), false, seen)
		seen[name] = true
	}
	history := doc.Paths.Find(ofCampaign +
		"/history").Get.Responses.Status(http.StatusOK).Value.Content.Get("application/json").Schema.Value
	compare(t, "history", history, reflect.TypeFor[trail](), false, seen)
	for name, schema := range doc.Components.Schemas {
		if schema.Value.Type.Is("object") {
			require.True(t, seen[name], "nothing in Go is a %s", name)
		}
	}
	require.True(t, seen["Replica"], "RunRecord is embedded in it")
}

func compare(t *testing.T, at string, schema *openapi3.Schema, of reflect.Type, inQuotes bool, seen map[string]bool) {
	t.Helper()
	if of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	isText := reflect.PointerTo(of).Implements(reflect.TypeFor[encoding.TextMarshaler]())
	switch {
	case of == reflect.TypeFor[time.Time]():
		require.Equal(t, "date-time", schema.Format, at)
	case isText, of.Kind() == reflect.String, inQuotes:
		require.True(t, schema.Type.Is("string"), at)
	case of == reflect.TypeFor[[]byte]():
		require.Equal(t, "byte", schema.Format, at)
	case of.Kind() == reflect.Bool:
		require.True(t, schema.Type.Is("boolean"), at)
	case of.Kind() == reflect.Float64:
		require.True(t, schema.Type.Is("number"), at)
	case of.Kind() == reflect.Slice:
		require.True(t, schema.Type.Is("array"), at)
		mark(seen, schema.Items)
		compare(t, at+"[]", schema.Items.Value, of.Elem(), false, seen)
	case of.Kind() == reflect.Map:
		require.True(t, schema.Type.Is("object"), at)
		mark(seen, schema.AdditionalProperties.Schema)
		compare(t, at+"{}", schema.AdditionalProperties.Schema.Value, of.Elem(), false, seen)
	case of.Kind() == reflect.Struct:
		compareFields(t, at, schema, of, seen)
	default:
		require.True(t, schema.Type.Is("integer"), "%s is a %s", at, of)
	}
}

func compareFields(t *testing.T, at string, schema *openapi3.Schema, of reflect.Type, seen map[string]bool) {
	t.Helper()
	require.True(t, schema.Type.Is("object"), at)
	require.NotNil(t, schema.AdditionalProperties.Has, "%s: say additionalProperties: false", at)
	require.False(t, *schema.AdditionalProperties.Has, at)
	var names, required []string
	for _, field := range reflect.VisibleFields(of) {
		tag, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Anonymous || tag == "-" || !field.IsExported() {
			continue
		}
		names = append(names, tag)
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
			required = append(required, tag)
		}
		property, ok := schema.Properties[tag]
		require.True(t, ok, "%s.%s is not in the schema", at, tag)
		mark(seen, property)
		compare(t, at+"."+tag, property.Value, field.Type, strings.Contains(options, "string"), seen)
	}
	for name := range schema.Properties {
		require.Contains(t, names, name, "%s.%s is not in Go", at, name)
	}
	require.ElementsMatch(t, required, schema.Required, at)
}

func mark(seen map[string]bool, ref *openapi3.SchemaRef) {
	seen[strings.TrimPrefix(ref.Ref, "#/components/schemas/")] = true
}

func TestTheSchemasHaveEveryWord(t *testing.T) {
	doc, _ := described(t)
	words := func(schema, field string) (list []string) {
		for _, word := range doc.Components.Schemas[schema].Value.Properties[field].Value.Enum {
			list = append(list, word.(string))
		}
		return list
	}
	var rights []string
	for _, word := range doc.Components.Schemas["Me"].Value.Properties["rights"].Value.Items.Value.Enum {
		rights = append(rights, word.(string))
	}
	require.Equal(t, texts(Rights()), rights)
	require.Equal(t, texts(entitle.States()), enum(doc, "ItemState"))
	require.Equal(t, texts(entitle.Bases()), enum(doc, "Basis"))
	kinds := slices.Sorted(maps.Keys(statuses))
	for i := range kinds {
		kinds[i] = problemType + kinds[i]
	}
	types := words("Problem", "type")
	slices.Sort(types)
	require.Equal(t, texts(kinds), types)
	for _, k := range kinds {
		word := strings.TrimPrefix(string(k), problemType)
		require.Contains(t, doc.Components.Schemas["Problem"].Value.Properties["type"].Value.Description, "`"+word+"`",
			"it wants to be explained")
	}
	require.Equal(t, texts(actions), words("Order", "action"))
	require.Equal(t, texts(append(slices.Concat(actions, grant.Notes()), actionUnknown)), words("Act", "action"))
	require.Equal(t, texts(status.Parts()), words("Part", "part"))
	require.Equal(t, texts(grant.Causes()), words("Hold", "cause"))
	require.Equal(t, texts(grant.RunStates()), words("Replica", "state"))
	require.Equal(t, texts(status.Phases()), words("Status", "phase"))
	require.Equal(t, texts(status.Phases()), words("Brief", "phase"))
	var standing []string
	for _, o := range everything().Standing(time.UTC) {
		standing = append(standing, string(o.Action))
	}
	require.Equal(t, standing, words("Standing", "action"))
	require.ElementsMatch(t, texts([]grant.Kind{grant.KindEmoticon, grant.KindCredit, grant.KindCash, grant.KindItem}),
		words("Entitlement", "kind"))
	require.Equal(t, texts(grant.States()), words("Entitlement", "state"))
	var outcomes []string
	for _, word := range doc.Components.Schemas["Outcome"].Value.Enum {
		outcomes = append(outcomes, word.(string))
	}
	require.Equal(t, texts(grant.Outcomes()), outcomes)
	require.Equal(t, texts(lookup.Codes()), words("Reason", "code"))
	require.Equal(t, texts(grant.ActKinds()), words("UserAct", "kind"))
	require.Equal(t, review.CouncilActs(), words("CouncilAct", "do"))
	require.Equal(t, texts(vote.Choices()), words("CouncilBallot", "choice"))
}

// enum are the words of a schema that is one of them.
func enum(doc *openapi3.T, schema string) (list []string) {
	for _, word := range doc.Components.Schemas[schema].Value.Enum {
		list = append(list, word.(string))
	}
	return list
}

func texts[S ~string](words []S) []string {
	var list []string
	for _, word := range words {
		list = append(list, string(word))
	}
	return list
}

// everything is a control of which everything is in force.
func everything() *grant.Control {
	by := grant.Given{At: time.Now(), Who: "minji", Why: "look"}
	return &grant.Control{
		Paused: true, Throttle: 1, PausedBy: &by, ThrottledBy: &by, AbortedBy: &by, Abort: 1,
		Finish: &grant.Finish{Given: by, Version: 2},
	}
}

// A record with every field that a run can fill, as the schema wants it.
func TestAFullStatusConforms(t *testing.T) {
	w := newWorld(t)
	w.grant()
	now := time.Now()
	hold := grant.Hold{Cause: grant.CauseLatency, Detail: "0.6 s", Since: now}
	reject := grant.Reject{Partition: 1, Offset: 3, Reason: "empty", Value: `""`}
	require.NoError(t, w.coordination.SaveRun(t.Context(), grant.RunRecord{
		Run: aRun, Host: "granter-0", PID: 7, Version: "v1", Spec: aCampaign().Hash, State: grant.RunRunning, Error: "none",
		StartedAt: now, UpdatedAt: now, Partitions: []int{0, 1}, Tally: grant.Tally{Consumed: 1, Granted: 1}, Rate: 0.5,
		Pass: "canary 1%", Control: 1, Limit: 5, Holds: []grant.Hold{hold}, Rejects: map[string]int64{"empty": 1},
		Samples: []grant.Reject{reject},
		Skew:    1, Redis: grant.RedisHealth{LatencySeconds: 0.1, MemoryBytes: -1}, CheckpointAt: &now,
	}))
	require.NoError(t, w.coordination.SaveRun(t.Context(), grant.RunRecord{Run: aRun + 1, State: grant.RunWaiting}))
	w.order(RoleOperator, `{"action":"finish","why":"enough"}`).is(http.StatusOK)
	answer := w.get(RoleViewer, base+"/status")
	answer.is(http.StatusOK)
	var s status.Status
	answer.into(&s)
	require.Len(t, s.Runs, 2)
	require.EqualValues(t, 1, s.Granted)
	require.Equal(t, grant.Offsets{0: 4, 1: 10}, s.Control.Finish.Ends)
	require.Equal(t, status.PhaseFinishing, s.Phase)
	for _, action := range []string{`"pause"`, `"abort"`, `"throttle","throttle":7`} {
		w.order(RoleOperator, `{"action":`+action+`,"why":"everything is in force"}`).is(http.StatusOK)
	}
	answer = w.get(RoleViewer, base+"/status")
	answer.is(http.StatusOK)
	answer.into(&s)
	require.Equal(t, status.PhaseAborted, s.Phase)
	require.Regexp(t, `^aborted by a-operator at 2\S+: everything is in force$`, s.Orders[0].Says)
}

func TestAnAPIWithoutRunsHasEmptyLists(t *testing.T) {
	w := newWorld(t)
	answer := w.get(RoleViewer, base+"/status")
	answer.is(http.StatusOK)
	require.Contains(t, string(answer.body), `"runs":[]`)
	require.Zero(t, w.metric("requests_total", "code", "503"))
}
