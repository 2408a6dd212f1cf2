package tell

import "github.com/granter/granter/grant/claims/documents"

// Refused is why a document was not taken.
func Refused(c documents.Code) Text { return refused[c] }

var refused = map[documents.Code]Text{
	documents.Empty: {KO: "파일이 비어 있습니다.", EN: "The file is empty."},
	documents.TooBig: {
		KO: "파일이 10MB보다 큽니다. 더 작게 저장하거나 사진을 다시 찍어 주세요.",
		EN: "The file is larger than 10 MB. Save it smaller, or take another picture.",
	},
	documents.UnknownType: {
		KO: "PDF, 사진(JPG, PNG, HEIC), 엑셀(XLSX) 파일만 받습니다.",
		EN: "Only PDF, pictures (JPG, PNG, HEIC) and workbooks (XLSX) are taken.",
	},
	documents.LyingType: {
		KO: "파일 이름의 확장자와 내용이 다릅니다. 원래 형식으로 다시 저장해 주세요.",
		EN: "The ending of the file’s name does not fit what is in it. Save it again as what it is.",
	},
	documents.CutOff: {
		KO: "파일이 끝까지 오지 않았거나 깨져 있습니다. 다시 보내 주세요.",
		EN: "The file did not come whole, or is broken. Please send it again.",
	},
	documents.Bomb: {
		KO: "압축을 풀면 너무 커지는 파일입니다. 더 작게 저장해 주세요.",
		EN: "The file becomes too large when it is opened. Save it smaller.",
	},
	documents.Active: {
		KO: "프로그램(매크로)이 들어 있는 파일은 받지 않습니다. 매크로 없이 저장해 주세요.",
		EN: "A file with a program (macro) in it is not taken. Save it without.",
	},
	documents.Resident: {
		KO: "파일 이름에 주민등록번호로 보이는 숫자가 있습니다. 이름을 바꿔 주세요.",
		EN: "The file’s name holds what looks like a resident registration number. Give it another name.",
	},
	documents.Malware: {KO: "악성코드가 발견되어 받지 않았습니다.", EN: "The file holds malware, and was not taken."},
	documents.Full:    {KO: "서류는 20개, 모두 합쳐 60MB까지 받습니다.", EN: "At most 20 documents, of 60 MB together, are taken."},
	documents.Late:    {KO: "지금은 서류를 받지 않습니다.", EN: "Documents are not taken now."},
	documents.InQuarantine: {KO: "아직 악성코드 검사를 하지 않은 서류입니다. 잠시 뒤 다시 해 주세요.",
		EN: "This document has not been checked for malware yet. Try again in a while."},
	documents.NotRedacted: {KO: "가리지 않은 서류와 같은 파일입니다. 가린 사본을 보내 주세요.",
		EN: "This is the document itself, with nothing hidden. Send the redacted copy."},
}
