package searchpage

import (
	"fmt"
	"strings"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/lookup"
	"github.com/granter/granter/grant/text"
)

// words are what the page says in one language.
type words struct {
	lang lookup.Lang

	title, ask, askHelp, why, whyHelp, lookUp, skip, footer    string
	zone, campaignsZone, language                              string
	signIn, signInTitle, signOut, signedIn, token, tokenHelp   string
	understoodTitle, nothing                                   string
	userColumn, hasColumn, lacksColumn, link, noCampaigns      string
	granted, notGranted, notKnown, since, next, detail         string
	specDiffers, lagTitle, replyTitle, copyText, timelineTitle string
	sourceTitle, run, replica, version, pass, flush, record    string
	topicID, receipt, receiptHelp                              string
}

var languageNames = map[lookup.Lang]string{lookup.English: "English", lookup.Korean: "한국어"}

var english = words{ //nolint:gosec // these are no credentials
	lang: lookup.English, title: "Look up users", ask: "User IDs", lookUp: "Look up", skip: "Skip to the search",
	askHelp: "Paste one ID or a list of up to " + lookup.English.Number(lookup.MaxAtOnce) + ", one on each line or with commas " +
		"between. Spaces, thousands separators, " +
		"leading zeros and full-width digits do not matter.",
	why: "Reason", whyHelp: "Needed for more than 20 users at once. It is kept in the access log.",
	footer: "Every lookup is logged with who asked. Whatever is under “For engineers”, or said by operators, is not for " +
		"customers.",
	zone: "Show times also in", campaignsZone: "the campaign’s zone only", language: "Language",
	signIn: "Sign in", signInTitle: "granter: look up users", signOut: "Sign out", signedIn: "Signed in as", token: "Token",
	tokenHelp:       "It is kept in this browser until you sign out or close it.",
	understoodTitle: "How it was understood", nothing: "There is no ID in it.",
	userColumn: "User", hasColumn: "Granted", lacksColumn: "Not granted, and why", link: "Link to this answer",
	noCampaigns: "There is no campaign that you may look into.",
	granted:     "Granted", notGranted: "Not granted", notKnown: "Not known", since: "On", next: "Next:", detail: "They say:",
	specDiffers: "The desk’s file has another spec than the ledger; this is answered by the ledger’s.",
	lagTitle:    "Where the record may be", replyTitle: "Reply to the customer", copyText: "Copy", timelineTitle: "Timeline",
	sourceTitle: "For engineers", run: "Run", replica: "Replica", version: "Version", pass: "Pass", flush: "Shard/flush",
	record: "The record is one of", topicID: "Topic ID",
	receipt: "Receipt (JSON)",
	receiptHelp: "Shows that this was granted, to whoever has the auditor’s public key: granter receipt verify. " +
		"It names no other user.",
}

var korean = words{ //nolint:gosec // these are no credentials
	lang: lookup.Korean, title: "사용자 조회", ask: "사용자 ID", lookUp: "조회", skip: "검색으로 건너뛰기",
	askHelp: "ID 하나 또는 최대 " + lookup.Korean.Number(lookup.MaxAtOnce) + "개의 목록을 한 줄에 하나씩, 또는 쉼표로 구분해 " +
		"붙여 넣으세요. 공백, 천 단위 구분, 앞자리 0, 전각 숫자는 " +
		"그대로 두어도 됩니다.",
	why: "사유", whyHelp: "한 번에 20명을 넘게 조회할 때는 필수입니다. 접근 기록에 남습니다.",
	footer: "모든 조회는 조회한 사람과 함께 기록됩니다. ‘엔지니어용’ 내용과 운영자의 말은 고객에게 전달하지 마세요.",
	zone:   "함께 표시할 시간대", campaignsZone: "캠페인 시간대만", language: "언어",
	signIn: "로그인", signInTitle: "granter: 사용자 조회", signOut: "로그아웃", signedIn: "로그인한 사용자", token: "토큰",
	tokenHelp:       "로그아웃하거나 브라우저를 닫을 때까지 이 브라우저에 보관됩니다.",
	understoodTitle: "입력을 이렇게 이해했습니다", nothing: "입력에 ID가 없습니다.",
	userColumn: "사용자", hasColumn: "지급됨", lacksColumn: "지급되지 않음과 그 이유", link: "이 답변의 링크",
	noCampaigns: "조회할 수 있는 캠페인이 없습니다.",
	granted:     "지급됨", notGranted: "지급되지 않음", notKnown: "알 수 없음", since: "지급 시각:", next: "다음 할 일:", detail: "운영 메모:",
	specDiffers: "데스크의 파일과 원장의 스펙이 다릅니다. 이 답변은 원장의 스펙을 따릅니다.",
	lagTitle:    "레코드가 있을 수 있는 위치", replyTitle: "고객 답변", copyText: "복사", timelineTitle: "타임라인",
	sourceTitle: "엔지니어용", run: "실행", replica: "복제본", version: "버전", pass: "패스", flush: "샤드/플러시",
	record: "레코드는 다음 중 하나", topicID: "토픽 ID",
	receipt:     "지급 증명서(JSON)",
	receiptHelp: "감사자의 공개 키가 있으면 누구나 지급 사실을 확인할 수 있습니다(granter receipt verify). 다른 사용자의 정보는 없습니다.",
}

func (v *View) words() *words {
	if v.Lang == lookup.Korean {
		return &korean
	}
	return &english
}

// in chooses between the languages.
func (t *words) in(en, ko string) string { return lookup.Text{EN: en, KO: ko}.In(t.lang) }

func (t *words) user(id grant.UserID) string { return t.in("User ", "사용자 ") + digits(id) }

// userInside is user within a sentence.
func (t *words) userInside(id grant.UserID) string { return t.in("user ", "사용자 ") + digits(id) }

func (t *words) users(n int) string {
	return fmt.Sprintf(t.in("%s users", "사용자 %s명"), t.lang.Number(int64(n)))
}

func (t *words) here(moment string) string {
	return fmt.Sprintf(t.in("(%s for you)", "(내 시간대로 %s)"), moment)
}

// verdict sums up. Campaigns that could not be asked may have granted something.
func (t *words) verdict(granted, unknown, campaigns int) string {
	switch {
	case unknown > 0:
		return fmt.Sprintf(t.in("Granted: %d of %d campaigns, and %d could not be asked.",
			"지급됨: 캠페인 %[2]d개 중 %[1]d개. %[3]d개는 확인할 수 없습니다."), granted, campaigns, unknown)
	case granted == 0 && campaigns == 1:
		return t.in("This user has not been granted the campaign.", "이 사용자에게 지급되지 않았습니다.")
	case granted == 0:
		return t.in("This user has been granted nothing.", "이 사용자에게 지급된 것이 없습니다.")
	case granted == campaigns:
		return fmt.Sprintf(t.in("Granted: %d of %d campaigns.", "지급됨: 캠페인 %[2]d개 중 %[1]d개."), granted, campaigns)
	}
	return fmt.Sprintf(t.in("Granted: %d of %d campaigns. Below is why not the others.",
		"지급됨: 캠페인 %[2]d개 중 %[1]d개. 나머지의 이유는 아래에 있습니다."), granted, campaigns)
}

// lost is a campaign that was granted, and is no longer.
func (t *words) lost(c lookup.Code) string {
	if c == lookup.Moved {
		return t.in("Moved", "이전됨")
	}
	return t.in("Revoked", "회수됨")
}

func (t *words) excluded() string { return t.in("Excluded", "제외됨") }

func (t *words) by(at string, act *grant.Act) string {
	return fmt.Sprintf(t.in("By hand (%s), %s, %s:", "수동 처리(%s), %s, %s:"), act.Kind, at, act.Who)
}

func (t *words) note(at, who string) string {
	return fmt.Sprintf(t.in("Note, %s, %s:", "메모, %s, %s:"), at, who)
}

func (t *words) movedFrom(id grant.UserID) string {
	return fmt.Sprintf(t.in("Moved here from user %s.", "사용자 %s에게서 이전되었습니다."), digits(id))
}

func (t *words) movedTo(id grant.UserID) string {
	return text.Particles(fmt.Sprintf(t.in("Look at user %s, who has it now.", "지금 혜택이 있는 사용자 %s을(를) 조회하세요."), digits(id)))
}

func (t *words) left(days int64) string {
	if days < 1 {
		return t.in("(less than a day left)", "(하루 미만 남음)")
	}
	return fmt.Sprintf(t.in("(%s days left)", "(%s일 남음)"), t.lang.Number(days))
}

func (t *words) kind(k grant.Kind) string {
	switch k {
	case grant.KindEmoticon:
		return t.in("emoticon", "이모티콘")
	case grant.KindCredit:
		return t.in("credit", "크레딧")
	case grant.KindCash:
		return t.in("cash", "캐시")
	case grant.KindItem:
		return t.in("item", "아이템")
	}
	return string(k)
}

func (t *words) state(s grant.State) string {
	switch s {
	case grant.StateActive:
		return t.in("Active", "사용 가능")
	case grant.StateOffered:
		return t.in("Not taken yet", "아직 받지 않음")
	case grant.StateExpired:
		return t.in("Expired", "만료")
	case grant.StateLapsed:
		return t.in("Not taken in time", "기한 내 받지 않음")
	case grant.StateExhausted:
		return t.in("All gone", "수량 소진")
	case grant.StateRevoked:
		return t.in("Revoked", "회수됨")
	case grant.StateRecalled:
		return t.in("Recalled", "제공 철회")
	}
	return string(s)
}

func (t *words) behind(b *lookup.Behind) string {
	return fmt.Sprintf(t.in("Partition %d: %s records from offset %d on", "파티션 %d: 오프셋 %[3]d부터 레코드 %[2]s개"),
		b.Partition, t.lang.Number(b.Records), b.From)
}

func (t *words) more(n int) string {
	return fmt.Sprintf(t.in("and %s partitions more", "외 파티션 %s개"), t.lang.Number(int64(n)))
}

func (t *words) replyIn(l lookup.Lang) string {
	if l == lookup.Korean {
		return t.in("In Korean", "한국어")
	}
	return t.in("In English", "영어")
}

func (t *words) happens(what lookup.Happening, coming bool) string {
	switch what {
	case lookup.HappenedGranted:
		return t.in("Granted", "지급")
	case lookup.HappenedTaken:
		return t.in("Taken", "받음")
	case lookup.HappensExpiry:
		if coming {
			return t.in("Will expire", "만료 예정")
		}
		return t.in("Expired", "만료")
	case lookup.HappensLapse:
		return t.in("Last moment to take it", "받을 수 있는 기한")
	case lookup.HappensRevoked:
		return t.in("Revoked", "회수")
	}
	return string(what)
}

func (t *words) understood(u lookup.Understood) string {
	how := make([]string, len(u.How))
	for i, change := range u.How {
		how[i] = t.change(change)
	}
	return fmt.Sprintf(t.in("“%s” is user %s: %s.", "“%s” → 사용자 %s: %s."), u.Text, digits(u.User), strings.Join(how, ", "))
}

func (t *words) change(c lookup.Change) string {
	switch c {
	case lookup.FullWidth:
		return t.in("full-width digits", "전각 숫자 변환")
	case lookup.Separators:
		return t.in("without the separators between thousands (put several users on lines of their own)",
			"천 단위 구분 제거 (여러 명이면 한 줄에 하나씩 입력)")
	case lookup.Hyphens:
		return t.in("without the hyphens", "하이픈 제거")
	case lookup.LeadingZeros:
		return t.in("without the zeros in front", "앞자리 0 제거")
	case lookup.Decimals:
		return t.in("without the .0", "소수점 이하 제거")
	case lookup.Words:
		return t.in("without the words around it", "주변 글자 제거")
	}
	return string(c)
}

func (t *words) refused(r *lookup.Refused) string {
	why := map[lookup.Refusal]string{
		lookup.LooksLikePhone: t.in("looks like a phone number; users are known by their ID", "전화번호로 보입니다. 사용자는 ID로 조회합니다"),
		lookup.LooksLikeDate:  t.in("looks like a date", "날짜로 보입니다"),
		lookup.Rounded: t.in("was rounded by a spreadsheet, which has lost digits: format the column as text",
			"스프레드시트가 반올림하여 숫자가 사라졌습니다. 열을 텍스트 형식으로 바꾸세요"),
		lookup.Signed:   t.in("has a sign in front; no ID has", "앞에 부호가 있습니다. ID에는 부호가 없습니다"),
		lookup.TooLarge: t.in("is above any user’s ID", "가능한 ID보다 큽니다"),
		lookup.NoID:     t.in("is no ID: there are letters in it", "ID가 아닙니다. 글자가 섞여 있습니다"),
	}[r.Why]
	return fmt.Sprintf(t.in("“%s” was not looked up: it %s.", "“%s” 조회하지 않음: %s."), r.Text, why)
}

func (t *words) insist(id grant.UserID) string {
	return fmt.Sprintf(t.in("Look up user %s all the same", "그래도 사용자 %s 조회"), digits(id))
}

func (t *words) repeated(n int) string {
	return fmt.Sprintf(t.in("IDs that were there more than once: %s.", "중복된 ID: %s개."), t.lang.Number(int64(n)))
}

func (t *words) surplus(n int) string {
	return fmt.Sprintf(t.in("Only the first %s users were looked up; %s more were left out. For long lists: "+
		"granter verify - < FILE.",
		"처음 %s명만 조회했고 %s명은 제외되었습니다. 긴 목록은 granter verify - < FILE 로 조회하세요."),
		t.lang.Number(lookup.MaxAtOnce), t.lang.Number(int64(n)))
}

// Unknown says to somebody whom the desk does not know why, and what to do.
func Unknown(l lookup.Lang, detail string) string {
	v := View{Lang: l}
	return v.words().in("Not signed in: "+detail+".", "로그인하지 못했습니다. 토큰을 확인하세요: "+detail)
}

// Ended says to somebody who sent a form that whoever it was is not signed in any more.
func Ended(l lookup.Lang) string {
	return (&View{Lang: l}).words().in("You are not signed in any more, so nothing was saved. Sign in, and do it again.",
		"로그인이 끝나서 아무것도 저장하지 않았습니다. 로그인한 뒤 다시 해 주세요.")
}

// TooLong says that a form is longer than any that a person fills in.
func TooLong(l lookup.Lang, bytes int64) string {
	return fmt.Sprintf((&View{Lang: l}).words().in(
		"The form has more than %s bytes, so nothing of it was read. Long lists are for the command line (granter --help).",
		"입력이 %s바이트를 넘어 아무것도 읽지 않았습니다. 긴 목록은 명령줄(granter --help)을 이용하세요."), l.Number(bytes))
}

// Failed says that nothing could be asked.
func Failed(l lookup.Lang, detail string) string {
	v := View{Lang: l}
	return v.words().in("It could not be looked up: "+detail, "조회하지 못했습니다: "+detail)
}

// NoReceipt says why there is no receipt to download.
func NoReceipt(l lookup.Lang, none, later bool, detail string) string {
	t := (&View{Lang: l}).words()
	switch {
	case none:
		return t.in("There are no receipts of this campaign: its audit has left none.", "이 캠페인의 증명서가 없습니다. 감사에서 만들어지지 않았습니다.")
	case later:
		return t.in("The user was not granted when the last audit was made. After the next one there is a receipt.",
			"마지막 감사 시점에는 지급되지 않았습니다. 다음 감사 이후에 증명서가 만들어집니다.")
	}
	return t.in("There is no receipt: "+detail, "증명서를 만들 수 없습니다: "+detail)
}

// ask is what the box is for: users, claims, or both, as far as the reader may look for them.
func (v *View) ask() string {
	switch t := v.words(); {
	case !v.SeesClaims:
		return t.ask
	case v.SeesUsers:
		return t.in("User ID, claim number, business number or phone", "사용자 ID, 신청 번호, 사업자등록번호 또는 전화번호")
	default:
		return t.in("Claim number, business number, phone or user ID", "신청 번호, 사업자등록번호, 전화번호 또는 사용자 ID")
	}
}

func (v *View) askHelp() string {
	t := v.words()
	if !v.SeesClaims {
		return t.askHelp
	}
	claims := t.in("Claims are found by one number at a time; by phone or user ID with a reason.",
		"피해 신청은 번호 하나로 찾습니다. 전화번호나 사용자 ID로 찾으려면 사유가 필요합니다.")
	if !v.SeesUsers {
		return claims
	}
	return claims + " " + t.askHelp
}
