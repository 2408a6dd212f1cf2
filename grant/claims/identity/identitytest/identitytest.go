// Package identitytest has servers of the real shape of the services that package identity asks, for tests and demonstrations.
package identitytest

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
)

// Services are both services. The zero value knows every business as active, and every account as its owner's.
type Services struct {
	lock       sync.Mutex
	away       bool
	businesses map[string]Business
	holders    map[string]string
	calls      map[string]int
}

// Business is what the tax office says.
type Business struct {
	Code  string // 01 active, 02 suspended, 03 closed
	End   string // 20220930
	Valid string // 01, or 02: it does not belong to whom it should
}

// Away makes both services answer by errors only.
func (s *Services) Away(away bool) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.away = away
}

// Set says what the tax office says of a business, by its ten digits.
func (s *Services) Set(number string, b Business) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.businesses == nil {
		s.businesses = map[string]Business{}
	}
	s.businesses[number] = b
}

// Hold says who holds an account, by bank and digits; an empty name: there is no such account.
func (s *Services) Hold(bank, account, holder string) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.holders == nil {
		s.holders = map[string]string{}
	}
	s.holders[bank+account] = holder
}

// Calls returns how often a path was called.
func (s *Services) Calls(path string) int {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.calls[path]
}

// Holder is who holds every account of which nothing else was said.
const Holder = "김사장"

// ServeHTTP answers as both services.
func (s *Services) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.calls == nil {
		s.calls = map[string]int{}
	}
	s.calls[r.URL.Path]++
	if s.away {
		http.Error(w, "out of order", http.StatusServiceUnavailable)
		return
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/validate"):
		s.validate(w, r)
	case strings.HasSuffix(r.URL.Path, "/inquiry/real_name"):
		s.name(w, r)
	default:
		http.NotFound(w, r)
	}
}

type object = map[string]any

func (s *Services) validate(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Businesses []struct {
			Number         string `json:"b_no"`
			Opened         string `json:"start_dt"`
			Representative string `json:"p_nm"`
		} `json:"businesses"`
	}
	if json.NewDecoder(r.Body).Decode(&q) != nil || r.URL.Query().Get("serviceKey") == "" {
		answer(w, http.StatusUnauthorized, object{"code": -401})
		return
	}
	if len(q.Businesses) > 100 {
		answer(w, http.StatusRequestEntityTooLarge, object{"status_code": "TOO_LARGE_REQUEST"})
		return
	}
	data := []object{}
	for _, b := range q.Businesses {
		known, ok := s.businesses[b.Number]
		if !ok {
			known = Business{Code: "01"}
		}
		one := object{"b_no": b.Number, "valid": "01", "request_param": b}
		if known.Valid == "02" {
			one["valid"], one["valid_msg"] = "02", "확인할 수 없습니다."
		} else {
			one["status"] = object{"b_no": b.Number, "b_stt_cd": known.Code, "end_dt": known.End}
		}
		data = append(data, one)
	}
	answer(w, http.StatusOK, object{"status_code": "OK", "request_cnt": len(data), "data": data})
}

func (s *Services) name(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Bank    string `json:"bank_code_std"`
		Account string `json:"account_num"`
	}
	if json.NewDecoder(r.Body).Decode(&q) != nil || !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") {
		answer(w, http.StatusOK, object{"rsp_code": "A0002"})
		return
	}
	holder, ok := s.holders[q.Bank+q.Account]
	if !ok {
		holder = Holder
	}
	code := "000"
	if holder == "" {
		code = "411"
	}
	answer(w, http.StatusOK, object{"rsp_code": "A0000", "bank_rsp_code": code, "account_holder_name": holder})
}

func answer(w http.ResponseWriter, status int, body object) {
	w.Header().Set("Content-Type", "application/json")
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // nothing in it can fail
	}
	w.WriteHeader(status)
	_, _ = w.Write(text) // whoever asked may be gone
}
