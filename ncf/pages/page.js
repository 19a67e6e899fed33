"use strict";
(() => {
  const { items, users } = JSON.parse(document.getElementById("data").textContent);
  const box = document.getElementById("search");
  const found = document.getElementById("found");
  const shown = document.getElementById("shown");
  const MOST = 60;

  const make = (name, text, kind) => {
    const node = document.createElement(name);
    if (text !== undefined) node.textContent = text;
    if (kind) node.className = kind;
    return node;
  };
  const title = (code) => {
    const [raw, name] = items[code];
    return name ? `${name} (${raw})` : raw;
  };
  const list = (kind, heading, codes, mark, note) => {
    const column = make("div");
    column.append(make("h3", heading));
    const lines = make(kind);
    codes.forEach((code, at) => {
      const line = make("li", title(code), mark(code));
      if (note && note[at] !== null) line.append(" ", make("small", note[at].toFixed(4)));
      lines.append(line);
    });
    column.append(codes.length ? lines : make("p", "none", "faint"));
    return column;
  };

  const show = (user) => {
    for (const button of found.children) {
      button.setAttribute("aria-pressed", String(button.textContent === user.user));
    }
    const now = new Set(user.list);
    const before = user.before && new Set(user.before);
    const columns = make("div", undefined, "lists");
    const rest = user.taken - user.history.length;
    const heading = rest > 0 ? `History (${user.history.length} of ${user.taken})` : "History";
    columns.append(list("ul", heading, user.history, () => ""));
    const mark = (code) => (before && !before.has(code) ? "new" : "");
    columns.append(list("ol", `List (${user.policy})`, user.list, mark, user.scores));
    if (before) {
      const left = (code) => (now.has(code) ? "" : "left");
      columns.append(list("ol", "List before", user.before, left));
    }
    shown.replaceChildren(make("h3", `User ${user.user}`), columns);
  };

  const search = () => {
    const wanted = box.value.trim().toLowerCase();
    const has = (user) =>
      user.user.toLowerCase().includes(wanted) ||
      user.list.concat(user.history).some((code) => title(code).toLowerCase().includes(wanted));
    const matching = wanted ? users.filter(has) : users;
    found.replaceChildren(
      ...matching.slice(0, MOST).map((user) => {
        const button = make("button", user.user);
        button.type = "button";
        button.addEventListener("click", () => show(user));
        return button;
      }),
    );
    const more = matching.length - MOST;
    if (more > 0) found.append(make("span", `and ${more} more`, "faint"));
    if (matching.length) show(matching[0]);
    else shown.replaceChildren(make("p", "No user of the sample matches.", "faint"));
  };

  box.addEventListener("input", search);
  search();
})();
