package questions

import "github.com/granter/granter/grant/claims/tell"

// banks by their codes, as the account holder check knows them.
var banks = func() []Option {
	out := make([]Option, 0, 25)
	for _, b := range []struct{ code, ko, en string }{
		{"004", "KB국민은행", "KB Kookmin"}, {"088", "신한은행", "Shinhan"}, {"020", "우리은행", "Woori"}, {"081", "하나은행", "Hana"},
		{"011", "NH농협은행", "NH Nonghyup"}, {"012", "지역 농·축협", "Local Nonghyup"}, {"003", "IBK기업은행", "IBK"},
		{"090", "카카오뱅크", "KakaoBank"}, {"089", "케이뱅크", "K bank"}, {"092", "토스뱅크", "Toss Bank"},
		{"045", "새마을금고", "MG Saemaeul"}, {"048", "신협", "Shinhyup"}, {"071", "우체국", "Korea Post"}, {"007", "수협은행", "Suhyup"},
		{"002", "KDB산업은행", "KDB"}, {"023", "SC제일은행", "SC First"}, {"027", "한국씨티은행", "Citi Korea"},
		{"031", "iM뱅크(대구)", "iM Bank (Daegu)"}, {"032", "부산은행", "Busan"}, {"039", "경남은행", "Kyongnam"},
		{"034", "광주은행", "Kwangju"}, {"037", "전북은행", "Jeonbuk"}, {"035", "제주은행", "Jeju"}, {"050", "저축은행", "Savings banks"},
		{"064", "산림조합", "Forestry cooperatives"},
	} {
		out = append(out, Option{b.code, tell.Text{KO: b.ko, EN: b.en}})
	}
	return out
}()

// Bank is what a bank is called, by its code.
func Bank(l tell.Lang, code string) string {
	for _, b := range banks {
		if b.Value == code {
			return b.Label.In(l)
		}
	}
	return code
}
