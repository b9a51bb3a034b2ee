"""How a report looks: light or dark, on a phone, on paper."""

STYLE = """
:root{color-scheme:light dark;--ink:#1d2125;--soft:#5a636b;--page:#fff;
--card:#f4f6f8;--line:#d5dae0;--link:#0b57b0;--bad:#a8201a;--good:#1a6b2d}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ec;--soft:#a3adb7;
--page:#14171a;--card:#1f2429;--line:#3a424a;--link:#8ab8f5;--bad:#ff9a92;
--good:#86d69a}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:920px;padding:16px;background:var(--page);
color:var(--ink);font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.5em;line-height:1.25;margin:.2em 0}
h2{font-size:1.25em;margin:2em 0 .4em;border-top:1px solid var(--line);
padding-top:.8em}
h3{font-size:1.05em;margin:1.2em 0 .2em}.card h3{margin-top:0}
p{margin:.4em 0}a{color:var(--link)}
.soft,figcaption,small{color:var(--soft);font-size:.85em}
.headline{font-size:1.2em;background:var(--card);border-left:5px solid
var(--link);padding:.7em .9em;margin:1em 0;border-radius:4px}
.card{background:var(--card);border-radius:8px;padding:.8em .9em;
margin:.7em 0;break-inside:avoid}
.bad{color:var(--bad)}.good{color:var(--good)}
code,pre{font:.85em/1.45 ui-monospace,monospace}
pre{background:var(--page);border:1px solid var(--line);border-radius:4px;
padding:.5em .6em;margin:.5em 0 0;white-space:pre-wrap}
.option{white-space:nowrap}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.93em}
th,td{text-align:left;vertical-align:top;padding:.35em .6em .35em 0;
border-bottom:1px solid var(--line)}
th.n,td.n{text-align:right;white-space:nowrap;overflow-wrap:normal}
.row{display:flex;flex-wrap:wrap;gap:8px;margin:.5em 0}
figure{margin:0;width:128px;break-inside:avoid}
figure img,.none{width:128px;height:auto;display:block;border-radius:4px}
.none{height:96px;border:1px dashed var(--line);color:var(--soft);
font-size:.8em;padding:2em .5em;text-align:center}
figcaption{line-height:1.3;margin-top:3px}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:12px}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(280px,1fr));
gap:12px}
ul{margin:.3em 0;padding-left:1.3em}
nav ul{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:.3em 1em}
.cards{display:grid;grid-template-columns:1fr 1fr;gap:0 12px}
.charts>div{max-width:450px}svg{width:100%;height:auto;display:block}
ol.plain{list-style:none;padding:0;margin:0}
summary{cursor:pointer;color:var(--link)}
@media (max-width:920px){.cards{grid-template-columns:1fr}}
@media (max-width:480px){body{padding:12px}
td:empty{display:none!important}
table.fold thead{position:absolute;left:-9999px}
table.fold tr{display:block;border-bottom:1px solid var(--line);
padding:.4em 0}
table.fold td,table.fold th[scope=row]{display:block;border:0;padding:0;
text-align:left;white-space:normal}
table.fold td[data-of]:before{content:attr(data-of) ": ";
color:var(--soft)}
.pair{grid-template-columns:1fr}
figure{width:calc((100% - 16px)/3)}
.row.four figure{width:calc((100% - 8px)/2)}figure img,.none{width:100%}}
@media print{:root{color-scheme:light;--ink:#000;--soft:#444;--page:#fff;
--card:#fff;--line:#bbb;--link:#000;--bad:#a00;--good:#060}
body{max-width:none;padding:0;font-size:10.5pt}
.card{border:1px solid var(--line)}h2,h3{break-after:avoid}
nav{display:none}tr{break-inside:avoid}a{text-decoration:none}
details::details-content{content-visibility:visible;
block-size:auto}}
"""
