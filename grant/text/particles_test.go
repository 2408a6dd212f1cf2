package text_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/text"
)

func TestParticlesFollowTheWordBeforeThem(t *testing.T) {
	for s, want := range map[string]string{
		"":        "",
		"금액은 그대로": "금액은 그대로",
		"보류을(를)":  "보류를",
		"‘지급 결정’을(를) 할 수 없습니다":                "‘지급 결정’을 할 수 없습니다",
		"‘보류’은(는) 심사 업무, 환수은(는) 지급 업무":        "‘보류’는 심사 업무, 환수는 지급 업무",
		"30,000원이(가) 아니라":                     "30,000원이 아니라",
		"2023-03-02은(는)":                      "2023-03-02는",
		"2023-03-16은(는)":                      "2023-03-16은",
		"117은(는), 118와(과) 119와(과) 120을(를)":    "117은, 118과 119와 120을",
		"접수와(과) 심사와(과) 결정":                    "접수와 심사와 결정",
		"서울(으)로, 부산(으)로, 제주(으)로, 7(으)로":       "서울로, 부산으로, 제주로, 7로",
		"consumers(이)라는, academia(이)라는 소속":    "consumers라는, academia라는 소속",
		"kim(이)라는, oh(이)라는, PDF은(는), XML을(를)": "kim이라는, oh라는, PDF는, XML을",
		"meeting을(를)":                         "meeting을",
		"안건 1(신청 f-6)을(를)":                    "안건 1(신청 f-6)을",
		"\u2068김하나\u2069을(를)":                 "\u2068김하나\u2069를",
		"„…“은(는) 그대로, 을(를)":                   "„…“은(는) 그대로, 을(를)",
	} {
		require.Equal(t, want, text.Particles(s), s)
	}
}
