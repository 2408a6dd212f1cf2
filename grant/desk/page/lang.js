// The language of the page, which the desk chose for its reader, and words in it.

export const lang = document.documentElement.lang;
export const korean = lang === "ko";

// t chooses between the languages. Whatever people read, other than names and what others wrote, goes through it.
export const t = (en, ko) => (korean ? ko : en);
