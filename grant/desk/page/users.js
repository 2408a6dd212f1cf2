// The page on which support looks up users works without this: it only makes some of it quicker.

const query = document.getElementById("q");

// Enter looks up, as in every search box; a new line is Shift and Enter. What an input method composes is not sent.
query?.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  query.form.requestSubmit(query.form.querySelector("button.primary"));
});

// The reader's zone, unless another one was chosen before.
const zones = document.getElementById("tz");
if (zones && !document.cookie.includes("granter_tz=")) {
  const mine = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (mine && ![...zones.options].some((option) => option.value === mine)) zones.append(new Option(mine, mine));
  if (mine) zones.value = mine;
}

for (const button of document.querySelectorAll("button.copy")) {
  button.hidden = !navigator.clipboard; // browsers have it on secure pages only
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copies).value);
    button.nextElementSibling.textContent = "✓";
  });
}
